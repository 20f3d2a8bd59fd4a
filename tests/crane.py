"""An environment as an operator might bring it, and some with the mistakes that such have."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Crane(gymnasium.Env[Any, Any]):
    """Two motors move a load; `load` is its mass."""

    def __init__(self, load: float = 1.0) -> None:
        self.observation_space: spaces.Space[Any] = spaces.Box(-1, 1, (6,))
        self.action_space: spaces.Space[Any] = spaces.Box(-1, 1, (2,))
        self.load = load
        self.state = np.zeros(6, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.state = self.np_random.uniform(-1, 1, 6).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.state[:2] = np.clip(self.state[:2] + 0.1 * action / self.load, -1, 1)
        return self.state.copy(), -float(abs(self.state[0])), False, False, {}


class Choosing(Crane):
    """Seven choices, all but the first legal."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = spaces.Discrete(7)

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        return super().reset(**options)[0], {"action_mask": [0] + [1] * 6}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action > 0
        return *super().step(np.full(2, action / 7))[:4], {"action_mask": [0] + [1] * 6}


class Texts(Crane):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Text(10)


class Breaks(Crane):
    def step(self, _: Any) -> Any:
        raise RuntimeError("the motor is on fire")


class NoStart(Crane):
    def reset(self, **_: Any) -> Any:
        raise KeyError("seat")


class StartsOnce(Crane):
    def reset(self, **options: Any) -> Any:
        if self.__dict__.setdefault("begun", False):
            raise KeyError("seat")
        self.begun = True
        return super().reset(**options)


class WrongShape(Crane):
    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        return np.zeros(5, np.float32), {}


class Stuck(Crane):
    def close(self) -> None:
        raise OSError("the brake is stuck")


class Switches(Crane):
    """Two motors, on or off."""

    def __init__(self, strength: int = 1, *, both: bool = False) -> None:
        super().__init__()
        self.action_space = spaces.Box(0, 1, (2,), np.bool_)
        self.strength, self.both = strength, both

    def step(self, action: Any) -> Any:
        return super().step(self.strength * action.astype(np.float32))


class NotANumber(Crane):
    def step(self, _: Any) -> Any:
        return np.full(6, np.nan, np.float32), 0.0, False, False, {}


class Unseeded(Crane):
    def reset(self, **options: Any) -> Any:
        super().reset(**options)
        self.state = np.random.default_rng().uniform(-1, 1, 6).astype(np.float32)
        return self.state.copy(), {}


class Leaves(Crane):
    """What it was before a reset can be seen after it."""

    worn = 0.0

    def step(self, action: Any) -> Any:
        self.worn += 0.001
        observation, _, *rest = super().step(action)
        return observation, self.worn, *rest


class Hoards(Crane):
    kept: list[Any]

    def step(self, action: Any) -> Any:
        self.__dict__.setdefault("kept", []).append(np.ones(1 << 17))
        return super().step(action)


class Timed(Crane):
    """Says after five steps that its time is a termination."""

    def reset(self, **options: Any) -> Any:
        self.time = itertools.count(1)
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        observation, reward, _, *rest = super().step(action)
        return observation, reward, next(self.time) == 5, *rest
