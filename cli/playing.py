"""Playing an environment with a policy that is served over HTTP."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import httpx2
import numpy as np

from mrq_core.action_masks import MaskSource
from mrq_core.actions import action_codec
from mrq_core.environments import AnyEnv, make_environment
from mrq_core.observations import observation_form, to_frame
from mrq_core.spaces import space_from_gymnasium


@dataclass(frozen=True)
class Played:
    returns: list[float]
    action_seconds: list[float]  # each a whole round trip


class Sight:
    """What a policy is sent of an environment: `send` in `GET /policies/{reference}`."""

    def __init__(self, environment: AnyEnv, history: int) -> None:
        codec = action_codec(space_from_gymnasium(environment.action_space))
        self._masks = MaskSource(space_from_gymnasium(environment.observation_space), codec)
        self._form = observation_form(self._masks.space, history)
        self._frames: deque[Any] = deque(maxlen=history)

    def begin(self) -> None:
        self._frames.clear()

    def body(self, observation: Any, info: Mapping[str, Any]) -> dict[str, Any]:
        """Of `POST /policies/{reference}/act`."""
        frame = self._frame(self._masks.strip(observation))
        missing = self._form.history - len(self._frames)
        self._frames.extend([frame] * max(1, missing))
        mask = self._masks.read(observation, info)
        seen = {"observation": list(self._frames) if self._form.history > 1 else frame}
        return seen if mask is None else {**seen, "action_mask": mask.tolist()}

    def _frame(self, observation: Any) -> Any:
        if self._form.kind == "pixels":
            return to_frame(self._masks.space, self._form, observation).tolist()
        return _plain(observation)


def _plain(observation: Any) -> Any:
    match observation:
        case Mapping():
            return {key: _plain(part) for key, part in observation.items()}
        case tuple():
            return [_plain(part) for part in observation]
    return np.asarray(observation).tolist()


def play_episodes(
    client: httpx2.Client,
    policy: str,
    environment_id: str,
    seeds: Sequence[int],
    *,
    max_episode_steps: int | None = None,
) -> Played:
    """One deterministic episode per seed of any environment in `GET /environments`, with its
    default kwargs; every action comes from `POST /policies/{reference}/act`.

    `max_episode_steps` None: the environment's own limit."""
    known = client.get(f"/environments/{environment_id}").raise_for_status().json()
    history = client.get(f"/policies/{policy}").raise_for_status().json()["history"]
    environment = make_environment(
        known["gymnasium_id"], {}, max_episode_steps or known["max_episode_steps"]
    )
    sight = Sight(environment, history)
    played = Played([], [])
    for seed in seeds:
        sight.begin()
        observation, info = environment.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            body = sight.body(observation, info)
            started = time.perf_counter()
            answer = client.post(f"/policies/{policy}/act", json=body).raise_for_status()
            played.action_seconds.append(time.perf_counter() - started)
            action = _action(environment, answer.json()["action"])
            observation, reward, terminated, truncated, info = environment.step(action)
            total += float(reward)
            over = terminated or truncated
        played.returns.append(total)
    environment.close()
    return played


def _action(environment: AnyEnv, answered: Any) -> Any:
    space = environment.action_space
    whole = isinstance(space, gymnasium.spaces.Discrete)
    return answered if whole else np.asarray(answered, space.dtype)
