"""Environments whose every number is known, and small settings for tests."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from mrq_core.config import Hyperparameters
from mrq_core.run import TrainingRun

TINY = Hyperparameters(
    zs_dim=8,
    zsa_dim=8,
    za_dim=4,
    encoder_hidden_dim=8,
    value_hidden_dim=8,
    policy_hidden_dim=8,
    batch_size=8,
    target_update_every=20,
    buffer_size=100_000,
    warmup_steps=30,
)


def tiny_run(environment_id: str = "CartPole-v1", **changes: Any) -> TrainingRun:
    defaults: dict[str, Any] = {
        "hyperparameters": TINY,
        "total_steps": 90,
        "evaluation_every": 50,
        "evaluation_episodes": 2,
        "max_episode_steps": 45,
        "checkpoint_every": 40,
        "log_every": 10,
        "seed": 7,
    }
    return TrainingRun(environment_id=environment_id, **(defaults | changes))


class Scripted(gymnasium.Env[Any, Any]):
    """Observation [t, t] and reward t at step t of an episode of `length` steps.

    At step `fault_at` of an episode, `fault` happens instead.
    """

    def __init__(
        self,
        length: int = 5,
        fault: str = "",
        fault_at: int = 3,
        reward: float | None = None,
        integers: bool = False,
        unbounded: bool = False,
    ) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        low, high = np.array([[0, -2], [1, 6]], np.float32)
        self.action_space = spaces.Box(low, high, (2,))
        if integers:
            self.action_space = spaces.Box(0, 3, (2,), np.int64)
        if unbounded:
            self.action_space = spaces.Box(low, np.array([1, np.inf], np.float32))
        self.length, self.fault, self.fault_at, self.reward = length, fault, fault_at, reward
        self.t = 0

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.t = 0
        if self.fault == "reset raises":
            raise RuntimeError("no reset today")
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        assert self.action_space.contains(action)
        reward: Any = float(self.t) if self.reward is None else self.reward
        result = [np.full(2, self.t, np.float32), reward, self.t >= self.length, False, {}]
        if self.t == self.fault_at:
            self._break(result)
        return tuple(result)

    def _break(self, result: list[Any]) -> None:
        match self.fault:
            case "NaN observation":
                result[0] = np.array([0.0, np.nan])
            case "wrong shape":
                result[0] = np.zeros(3)
            case "NaN reward":
                result[1] = float("nan")
            case "huge reward":
                result[1] = 1e39
            case "text reward":
                result[1] = "much"
            case "no reward":
                result[1] = None
            case "number for terminated":
                result[2] = 1
            case "raises":
                raise RuntimeError("broken joint")
            case "four values":
                del result[3]


class Drifting(Scripted):
    """Does not repeat itself: every episode made anywhere in the process starts elsewhere."""

    episodes = 0

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        Drifting.episodes += 1
        super().reset()
        return np.full(2, Drifting.episodes, np.float32), {}

    def step(self, action: Any) -> Any:
        observation, *rest = super().step(action)
        return (observation + np.float32(Drifting.episodes), *rest)


def register() -> None:
    environments: dict[str, Any] = {"Scripted-v0": Scripted, "Drifting-v0": Drifting}
    for name, entry_point in environments.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=entry_point)
