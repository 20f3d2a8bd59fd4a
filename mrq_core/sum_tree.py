"""Sampling in proportion to priority from millions of slots in microseconds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Wide, so that a few vectorised passes reach a leaf: three for two million slots.
WIDTH = 128


class SumTree:
    """Sums over groups of WIDTH, in float64. A sum is always recomputed from what it sums, never
    adjusted by a difference, so no rounding error is ever carried along."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.levels: list[NDArray[np.float64]] = []
        groups = capacity
        while not self.levels or groups > 1:
            groups = -(-groups // WIDTH)
            self.levels.append(np.zeros((groups, WIDTH)))

    @property
    def leaves(self) -> NDArray[np.float64]:
        """A view of the priorities of all slots; write through `set` or `fill` only."""
        return self.levels[0].reshape(-1)[: self.capacity]

    @property
    def total(self) -> float:
        return float(self.levels[-1].sum())

    def fill(self, priorities: NDArray[np.float64]) -> None:
        """Sets the first slots at once."""
        self.leaves[: len(priorities)] = priorities
        for level, above in pairwise(self.levels):
            above.reshape(-1)[: len(level)] = level.sum(1)

    def set(self, slots: NDArray[np.int64], priorities: NDArray[np.float64] | float) -> None:
        """For a slot named twice the last priority holds."""
        self.levels[0].reshape(-1)[slots] = priorities
        for level, above in pairwise(self.levels):
            slots = slots // WIDTH
            above.reshape(-1)[slots] = level[slots].sum(1)

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """`n` slots, with replacement; some priority must be positive."""
        return self.find(rng.random(n) * self.total)

    def find(self, targets: NDArray[np.float64]) -> NDArray[np.int64]:
        """The slots where the cumulative priority first exceeds each target: never one of
        priority 0, also for a target of exactly 0 or, through rounding, of the whole total."""
        group = np.zeros(len(targets), np.int64)
        for level in reversed(self.levels):
            cumulative = level[group].cumsum(1)
            # A group's own sum may differ in the last bit from the level above.
            targets = np.minimum(targets, np.nextafter(cumulative[:, -1], 0.0))
            child = (cumulative <= targets[:, None]).sum(1)
            before = np.where(child > 0, cumulative[np.arange(len(child)), child - 1], 0.0)
            targets = targets - before
            group = group * WIDTH + child
        return group
