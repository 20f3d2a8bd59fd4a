"""What the session asks of an algorithm."""

from __future__ import annotations

from typing import Any, Protocol

from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.checkpoint import Arrays


class Learner(Protocol):
    def step(self) -> None:
        """One step in the environment, and whatever the algorithm learns after it."""

    def policy(self) -> BaselinePolicy:
        """Shares what is learned: it changes as the learner goes on."""

    def networks(self) -> Arrays:
        """All that was learned, by name: for the digest, and to look for what is not finite."""

    def parameter_count(self) -> int: ...

    def facts(self) -> dict[str, float]:
        """Metrics that are not means over steps."""

    def save(self) -> tuple[Arrays, Arrays, dict[str, Any]]:
        """What is learned with its optimisers, what is remembered, and everything else as JSON."""

    def restore(self, learned: Arrays, remembered: Arrays, numbers: dict[str, Any]) -> None:
        """Of what `save` gave. The episode under way is replayed after it."""

    def resumed(self, *, exact: bool) -> None:
        """The episode stands where it stood or, if not exact, a new one has begun."""
