"""The environment as a baseline goes through it: episode after episode, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from mrq_core.environments import Environment, Outcome
from mrq_core.progress import Progress
from mrq_core.session import Episode
from mrq_core.spaces import Floats


class Course:
    """`begin` makes the episode of that index, told the steps taken before it."""

    def __init__(self, environment: Environment, begin: Callable[[int, int], Episode]) -> None:
        self.environment = environment
        self.progress = Progress()
        self.step = 0
        self._begin = begin
        self.episode = begin(0, 0)

    def take(self, action: Floats) -> Outcome:
        """`action` is as the networks speak of it: (A,) in [-1, 1], or one-hot. The next episode
        begins with `go_on`."""
        executed = self.environment.executable(action)
        outcome = self.environment.step(executed, self.step)
        self.episode.actions.append(executed)
        self.episode.see(outcome)
        self.episode.total_reward += outcome.reward
        if outcome.terminated or outcome.truncated:
            self.progress.add(self.episode.metrics(outcome))
        return outcome

    def go_on(self) -> NDArray[Any]:
        """The first input of the next episode."""
        self.episode = self._begin(self.episode.index + 1, self.step)
        return self.episode.history.input()
