"""An environment that does what a test writes down, step by step."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from mrq_core.environments import Environment

NUMBER = spaces.Box(-np.inf, np.inf, (2,), np.float32)
CHOICE = spaces.Discrete(3, start=5)
ZEROS = np.zeros(2, np.float32)
START: tuple[Any, dict[str, Any]] = (ZEROS, {})
# The least of CHOICE.
ACTION = np.int64(5)
# A step of which nothing is wrong.
STEP: tuple[Any, ...] = (ZEROS, 1.0, False, False, {})
END: tuple[Any, ...] = (ZEROS, 1.0, True, False, {})


class Puppet(gymnasium.Env[Any, Any]):
    """Gives `start` at every reset and then `answers` one after the other, raising those that are
    exceptions. Keeps the actions that it gets."""

    def __init__(
        self,
        observation_space: gymnasium.Space[Any] = NUMBER,
        action_space: gymnasium.Space[Any] = CHOICE,
        start: Any = START,
        answers: tuple[Any, ...] = (STEP, END),
    ) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.start, self.answers = start, answers
        self.actions: list[Any] = []
        self.seeds: list[int | None] = []
        self.closed = False
        self.t = 0

    def reset(self, *, seed: int | None = None, **_: Any) -> Any:
        self.t = 0
        self.seeds.append(seed)
        return self._told(self.start)

    def step(self, action: Any) -> Any:
        self.actions.append(action)
        self.t += 1
        return self._told(self.answers[self.t - 1])

    def close(self) -> None:
        self.closed = True

    def _told(self, answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


class SeedlessPuppet(Puppet):
    def reset(self) -> Any:  # type: ignore[override]  # as in Gym before 0.26
        return ZEROS


def register(name: str, entry_point: Any, **settings: Any) -> str:
    """Any maker of an environment under an id, the old one of this name forgotten."""
    environment_id = f"{name}-v0"
    gymnasium.registry.pop(environment_id, None)
    gymnasium.register(environment_id, entry_point, **settings)
    return environment_id


def environment(
    *, limit: int | None = None, repeat: int = 1, history: int | None = None, **puppet: Any
) -> Environment:
    return Environment(register("Puppet", Puppet), puppet, limit, repeat, history=history)


def strings(environment: Environment) -> Puppet:
    """The puppet itself, to see what was done with it."""
    puppet = environment.env.unwrapped
    assert isinstance(puppet, Puppet)
    return puppet


def step_with(**changes: Any) -> tuple[Any, ...]:
    names = ("observation", "reward", "terminated", "truncated", "info")
    return tuple((dict(zip(names, STEP, strict=True)) | changes).values())


def first_step(answer: Any, **puppet: Any) -> Any:
    told = environment(answers=(answer,), **puppet)
    told.reset(0, 0)
    return told.step(ACTION, 41)
