"""Running means between two Progressed events; part of the checkpoint, so that a resumed run
reports the very numbers of one that was never stopped."""

from __future__ import annotations

from collections.abc import Mapping


class Progress:
    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means since the last call, sorted by name; begins anew."""
        means = {name: self._sums[name] / self._counts[name] for name in sorted(self._sums)}
        self._sums, self._counts = {}, {}
        return means

    def to_json(self) -> dict[str, tuple[float, int]]:
        return {name: (total, self._counts[name]) for name, total in self._sums.items()}

    def restore(self, saved: Mapping[str, tuple[float, int]]) -> None:
        self._sums = {name: total for name, (total, _) in saved.items()}
        self._counts = {name: count for name, (_, count) in saved.items()}
