"""Tabular Q-learning (Watkins 1989; Sutton and Barto 2018, section 6.5), with masks.

Q(s, a) += learning_rate (r + discount max_a' Q(s', a') - Q(s, a)), where the maximum is over the
actions that are legal in s', and 0 after a termination (not after a time limit).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mrq_core.actions import Mask
from mrq_core.baselines.course import Course
from mrq_core.baselines.policy import BaselinePolicy, Table
from mrq_core.baselines.settings import QLearning
from mrq_core.checkpoint import Arrays
from mrq_core.environments import Environment
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed
from mrq_core.spaces import Discrete, Floats, MultiDiscrete, Space, SpaceError, Tuple, describe

# A table beyond it would not be visited in a lifetime, and is another algorithm's task.
MOST_STATES = 1_000_000


def counts_of(space: Space) -> tuple[int, ...]:
    """Of the values of each component of a state that can be counted. SpaceError for others."""
    match space:
        case Discrete():
            return (space.n,)
        case MultiDiscrete():
            return space.nvec
        case Tuple():
            return tuple(n for part in space.spaces for n in counts_of(part))
    expected = "states that can be counted (Discrete, MultiDiscrete, or a Tuple of them)"
    raise SpaceError(kind="dtype", expected=expected, got=describe(space), path="observation space")


def strides_of(counts: tuple[int, ...]) -> NDArray[np.float32]:
    """(D,): what each place of the one-hots adds to the state's number."""
    steps = np.cumprod([1, *counts[:0:-1]])[::-1]
    pairs = zip(counts, steps, strict=True)
    return np.concatenate([np.arange(n) * step for n, step in pairs]).astype(np.float32)


class QLearner:
    def __init__(self, settings: QLearning, run: TrainingRun, course: Course) -> None:
        environment = course.environment
        self.settings = settings
        self.course = course
        self._device = run.device
        self._actions = _the_only_component(environment)
        counts = counts_of(environment.observation_space)
        states = int(np.prod(counts))
        if environment.form.history != 1 or states > MOST_STATES:
            expected = f"one frame of {MOST_STATES} states at most"
            got = f"{environment.form.history} of {states}"
            raise SpaceError(kind="range", expected=expected, got=got, path="observation space")
        self._strides = strides_of(counts)
        # The networks' precision, so that a served table chooses as this one does.
        self.values = np.full((states, self._actions), settings.initial_value, np.float32)
        self.rng = np.random.default_rng(derive_seed(run.seed, "warmup"))

    @property
    def exploration(self) -> float:
        """The share of random actions at this step."""
        gone = min(1.0, (self.course.step - 1) / self.settings.exploration_steps)
        return 1.0 + gone * (self.settings.exploration_last - 1.0)

    def step(self) -> None:
        episode = self.course.episode
        state = self._number(episode.history.input())
        action = self._choose(state, episode.mask)
        outcome = self.course.take(_one_hot(action, self._actions))
        error = self._target(outcome) - self.values[state, action]
        self.values[state, action] += self.settings.learning_rate * error
        self.course.progress.add(
            {"loss/value": float(error) ** 2, "q/mean": float(self.values[state].mean())}
        )
        if outcome.terminated or outcome.truncated:
            self.course.go_on()

    def _choose(self, state: int, mask: Mask | None) -> int:
        legal = np.arange(self._actions) if mask is None else np.flatnonzero(mask)
        if self.rng.random() < self.exploration:
            return int(self.rng.choice(legal))
        row = self.values[state, legal]
        # Of equally good ones any: the first would never leave a corner of untouched zeros.
        return int(self.rng.choice(legal[row == row.max()]))

    def _target(self, outcome: Any) -> float:
        if outcome.terminated:
            return float(outcome.reward)
        row = self.values[self._number(outcome.observation)]
        best = row.max() if outcome.mask is None else row[outcome.mask].max()
        return float(outcome.reward + self.settings.discount * best)

    def _number(self, observation: NDArray[Any]) -> int:
        return int(observation @ self._strides)

    def policy(self) -> BaselinePolicy:
        table = Table(torch.from_numpy(self.values), torch.from_numpy(self._strides))
        layers = nn.Sequential(table.to(self._device))  # where the evaluation draws its noise
        shape = self.course.environment.form.input_shape
        return BaselinePolicy(layers, shape, (self._actions,), "logits")

    def networks(self) -> Arrays:
        return {"values": self.values}

    def parameter_count(self) -> int:
        return self.values.size

    def facts(self) -> dict[str, float]:
        return {"exploration": self.exploration}

    def save(self) -> tuple[Arrays, Arrays, dict[str, Any]]:
        return self.networks(), {}, {"rng": self.rng.bit_generator.state}

    def restore(
        self,
        learned: Arrays,
        remembered: Arrays,  # noqa: ARG002  nothing
        numbers: dict[str, Any],
    ) -> None:
        values = learned["values"]
        if values.shape != self.values.shape:
            raise ValueError(f"a table of {values.shape}; needed: {self.values.shape}")
        self.values[:] = values
        self.rng.bit_generator.state = numbers["rng"]

    def resumed(self, *, exact: bool) -> None:
        """The table knows nothing of episodes."""


def _the_only_component(environment: Environment) -> int:
    components = environment.codec.components
    if len(components) != 1:
        expected = "one choice of several (Discrete)"
        got = describe(environment.action_space)
        raise SpaceError(kind="dtype", expected=expected, got=got, path="action space")
    return components[0]


def _one_hot(index: int, size: int) -> Floats:
    one_hot = np.zeros(size, np.float32)
    one_hot[index] = 1.0
    return one_hot
