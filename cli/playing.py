"""Playing an environment with a policy that is served over HTTP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium
import httpx2
import numpy as np


@dataclass(frozen=True)
class Played:
    returns: list[float]
    action_seconds: list[float]  # each a whole round trip


def play_episodes(
    client: httpx2.Client, policy: str, environment_id: str, seeds: Sequence[int]
) -> Played:
    """One deterministic episode per seed; every action comes from `POST /policies/{id}/act`."""
    environment = gymnasium.make(environment_id)
    played = Played([], [])
    for seed in seeds:
        observation, _ = environment.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            started = time.perf_counter()
            body = {"observation": np.asarray(observation).tolist()}
            answer = client.post(f"/policies/{policy}/act", json=body).raise_for_status()
            played.action_seconds.append(time.perf_counter() - started)
            action = answer.json()["action"]
            if isinstance(environment.action_space, gymnasium.spaces.Box):
                action = np.asarray(action, dtype=environment.action_space.dtype)
            observation, reward, terminated, truncated, _ = environment.step(action)
            total += float(reward)
            over = terminated or truncated
        played.returns.append(total)
    environment.close()
    return played
