"""Gymnasium's contract, checked where it can be told what exactly was broken."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Real
from typing import Any

import gymnasium
import numpy as np

from mrq_core.spaces import describe

_GYM = "this is the old Gym API, which has to be ported to Gymnasium's"


class ContractBroken(Exception):
    """In words for the author of the environment."""


class Contract(gymnasium.Wrapper[Any, Any, Any, Any]):
    """What comes out has the right types; observations are checked against their space later."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        parameters = inspect.signature(env.unwrapped.reset).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        missing = [name for name in ("seed", "options") if name not in parameters]
        if missing and not open_ended:
            raise ContractBroken(f"its reset takes no {' and no '.join(missing)}: {_GYM}")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        answer: Any = self.env.reset(seed=seed, options=options)
        pair = isinstance(answer, tuple) and len(answer) == 2
        if not pair or not isinstance(answer[1], Mapping):
            got = describe(answer)
            raise ContractBroken(f"reset gave {got} instead of (observation, info): {_GYM}")
        observation, info = answer
        return observation, dict(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        answer: Any = self.env.step(action)
        if not isinstance(answer, tuple) or len(answer) != 5:
            raise ContractBroken(_not_five(answer))
        observation, reward, terminated, truncated, info = answer
        if not isinstance(info, Mapping):
            raise ContractBroken(f"info is no dictionary but {describe(info)}")
        return (
            observation,
            _number(reward),
            _flag("terminated", terminated),
            _flag("truncated", truncated),
            dict(info),
        )


def _not_five(answer: object) -> str:
    if isinstance(answer, tuple) and len(answer) == 4:
        return f"step gave 4 values, (observation, reward, done, info): {_GYM}"
    expected = "(observation, reward, terminated, truncated, info)"
    if isinstance(answer, tuple):
        return f"step gave {len(answer)} values instead of 5, {expected}"
    return f"step gave {describe(answer)} instead of {expected}"


def _number(reward: object) -> float:
    """Numbers of any type, and arrays that are one; not true and false."""
    if isinstance(reward, np.ndarray) and reward.ndim == 0:
        reward = reward[()]
    if not isinstance(reward, Real) or isinstance(reward, bool):
        raise ContractBroken(f"the reward is no number but {describe(reward)}")
    return float(reward)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ContractBroken(f"{name} is not true or false but {describe(value)}")
    return bool(value)
