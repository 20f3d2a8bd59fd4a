"""Means and counts between two Progressed events; part of the checkpoint, so that a resumed run
reports the very numbers of one that was never stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

# Called often while a step, an evaluation or a resume takes its time, at least once for every step
# of the environment and every update of the encoder: who hears nothing for long knows of a hang.
Alive: TypeAlias = Callable[[], None]


def unheard() -> None:
    """Nobody listens."""


class Progress:
    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def count(self, name: str) -> None:
        """One more; what did not happen at all is not reported."""
        self._totals[name] = self._totals.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means and counts since the last call, sorted by name; begins anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        taken = means | {name: float(total) for name, total in self._totals.items()}
        self._sums, self._counts, self._totals = {}, {}, {}
        return dict(sorted(taken.items()))

    def to_json(self) -> dict[str, Any]:
        means = {name: (total, self._counts[name]) for name, total in self._sums.items()}
        return {"means": means, "totals": self._totals}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self._sums = {name: total for name, (total, _) in saved["means"].items()}
        self._counts = {name: count for name, (_, count) in saved["means"].items()}
        self._totals = dict(saved["totals"])
