"""One environment for every kind of space: what it shows is drawn from its own observation space,
and what it pays depends on the action, so that a wrong action anywhere changes what is learned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

EPISODE = 12


@dataclass(frozen=True)
class Kind:
    observation: spaces.Space[Any]
    action: spaces.Space[Any]
    # How the environment tells which actions are legal: at time t all but the t-th, around and
    # around.
    mask: str = ""
    history: int | None = None


def _box(*shape: int, dtype: Any = np.float32) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, dtype)


def _image(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


_TWO = spaces.Discrete(2)
_GOAL: dict[str, spaces.Space[Any]] = {
    "observation": _box(3),
    "achieved_goal": _box(2),
    "desired_goal": _box(2),
}
_UNEQUAL = spaces.Box(np.array([-1.0, 0.0, -3.0]), np.array([2.0, 0.5, 9.0]), (3,), np.float64)

KINDS: dict[str, Kind] = {
    "Box, vector": Kind(_box(5), _TWO),
    "Box, float64 of shape (2, 3)": Kind(_box(2, 3, dtype=np.float64), _TWO),
    "Box, integers": Kind(spaces.Box(-5, 9, (4,), np.int16), _TWO),
    "Box, booleans (a MinAtar plane)": Kind(spaces.Box(0, 1, (10, 10, 4), np.bool_), _TWO),
    "Box, small image, flattened": Kind(_image(12, 12), _TWO),
    "Box, gray image": Kind(_image(33, 40), _TWO),
    "Box, RGB image, channels last": Kind(_image(32, 36, 3), _TWO, history=2),
    "Box, image, channels first": Kind(_image(2, 31, 35), _TWO, history=1),
    "Box, vector, history 3": Kind(_box(4), _TWO, history=3),
    "Discrete, from -2": Kind(spaces.Discrete(4, start=-2), _TWO),
    "MultiBinary": Kind(spaces.MultiBinary((2, 2)), _TWO),
    "MultiDiscrete": Kind(spaces.MultiDiscrete([3, 2], start=[1, -1]), _TWO),
    "Dict and Tuple, nested": Kind(
        spaces.Dict(a=spaces.Tuple((_box(2), spaces.Discrete(3))), b=spaces.MultiBinary(2)), _TWO
    ),
    "Dict of a goal": Kind(spaces.Dict(_GOAL), spaces.Box(-1, 1, (2,))),
    "action Box, unequal bounds": Kind(_box(3), _UNEQUAL),
    "action Box of shape (2, 2)": Kind(_box(3), spaces.Box(-1, 1, (2, 2))),
    "action Discrete, from 3": Kind(_box(3), spaces.Discrete(3, start=3)),
    "action MultiDiscrete": Kind(_box(3), spaces.MultiDiscrete([3, 2], start=[1, 0])),
    "action MultiBinary": Kind(_box(3), spaces.MultiBinary(3)),
    "mask in the observation": Kind(_box(3), spaces.Discrete(3), "observation"),
    "mask in info, action_mask": Kind(_box(3), spaces.Discrete(3), "action_mask"),
    "mask in info, legal_action_mask": Kind(_box(3), spaces.Discrete(3), "legal_action_mask"),
    "mask in info, admissible_actions": Kind(
        _box(3), spaces.Discrete(3, start=5), "admissible_actions"
    ),
}


class KindEnvironment(gymnasium.Env[Any, Any]):
    def __init__(self, kind: str) -> None:
        # A copy: spaces have generators, and two environments must not share one.
        self.kind = copy.deepcopy(KINDS[kind])
        self.action_space = self.kind.action
        self.observation_space = self.kind.observation
        if self.kind.mask == "observation":
            mask = spaces.Box(0, 1, (3,), np.int8)
            self.observation_space = spaces.Dict(
                observation=self.kind.observation, action_mask=mask
            )
        self.t = 0

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        # Composite spaces draw the seeds of their parts themselves.
        self.kind.observation.seed(seed)
        self.t = 0
        return self._observe()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        if self.kind.mask:
            assert isinstance(self.action_space, spaces.Discrete)
            illegal = self.action_space.start + self.t % 3
            assert action != illegal, "an illegal action was taken"
        self.t += 1
        observation, info = self._observe()
        numbers = np.asarray(action, np.float64).ravel()
        reward = float(numbers @ np.arange(1, len(numbers) + 1))
        return observation, reward, self.t >= EPISODE, False, info

    def _observe(self) -> tuple[Any, dict[str, Any]]:
        observation = self.kind.observation.sample()
        legal = (np.arange(3) != self.t % 3).astype(np.int8)
        match self.kind.mask:
            case "":
                return observation, {}
            case "observation":
                return {"observation": observation, "action_mask": legal}, {}
            case "admissible_actions":
                return observation, {"admissible_actions": (5 + np.flatnonzero(legal)).tolist()}
            case key:
                return observation, {key: legal}


def register() -> None:
    make: Callable[..., KindEnvironment] = KindEnvironment
    if "Kinds-v0" not in gymnasium.registry:
        gymnasium.register("Kinds-v0", entry_point=make)
