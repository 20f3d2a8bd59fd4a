"""One forward pass: what it costs, and what it gives to each request in it.

B is the number of observations in the pass, D the network's inputs, A its outputs.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.serving.bundle import Actor, Forward
from app.serving.seen import Outside, SeenRange, rows_outside
from mrq_core.actions import FEW
from mrq_core.spaces import Floats

# A pass of up to this estimate keeps the event loop; a longer one goes to the thread, beside
# which the hand-over is little.
INLINE_SECONDS = 0.001
_TRIALS = 3


@dataclass(frozen=True)
class PassCost:
    """A straight line: reading the weights once, and each row."""

    fixed_seconds: float
    row_seconds: float

    def seconds(self, rows: int) -> float:
        return self.fixed_seconds + self.row_seconds * rows


# Every pass is short.
UNKNOWN_COST = PassCost(0.0, 0.0)


def measure_cost(forward: Forward, width: int, clock: Callable[[], float]) -> PassCost:
    """The least of a few trials, with one row and with eight; `width` is D."""
    one, eight = (
        min(_seconds(forward, np.zeros((rows, width), np.float32), clock) for _ in range(_TRIALS))
        for rows in (1, 8)
    )
    row = max(0.0, (eight - one) / 7)
    return PassCost(max(0.0, one - row), row)


def _seconds(forward: Forward, rows: Floats, clock: Callable[[], float]) -> float:
    begun = clock()
    forward(rows)
    return clock() - begun


def _all_finite(numbers: Floats) -> bool:
    return bool(np.isfinite(numbers).all())


class Pass:
    def __init__(self, rows: Floats, outputs: Floats, begun: int, ended: int) -> None:
        self.rows = rows  # (B, D)
        self.outputs = outputs  # (B, A)
        self.begun = begun
        self.compute_us = (ended - begun) // 1000
        self.outside: Outside | None = None  # (B, D): of what was seen in training
        self._actions: NDArray[Any] | None = None

    @classmethod
    def of(cls, forward: Forward, rows: Floats) -> "Pass":
        begun = time.perf_counter_ns()
        outputs = forward(rows)
        return cls(rows, outputs, begun, time.perf_counter_ns())

    @cached_property
    def is_finite(self) -> bool:
        """One sum tells it nearly always, for less than looking at each; of a few numbers Python's
        own costs least, which stays finite if they are."""
        if self.outputs.size <= FEW:
            return math.isfinite(sum(self.outputs.ravel().tolist()))
        return math.isfinite(np.add.reduce(self.outputs, axis=None)) or _all_finite(self.outputs)

    def actions(self, actor: Actor) -> NDArray[Any]:
        """Deterministic and without masks, of all rows: made once for the requests that share the
        pass, who all have this very actor."""
        if self._actions is None:
            self._actions = actor.deterministic(self.outputs)
        return self._actions

    def look(self, seen: SeenRange) -> int:
        """How many rows are unlike those of the training."""
        self.outside = seen.outside(self.rows)
        return 0 if self.outside is None else rows_outside(self.outside)


class Forwarded:
    """The part of a pass that is one request's."""

    __slots__ = ("first", "last", "queue_us", "shared")

    def __init__(self, shared: Pass, first: int, last: int, queue_us: int) -> None:
        self.shared = shared
        self.first = first
        self.last = last
        self.queue_us = queue_us

    @property
    def outputs(self) -> Floats:
        """(B, A), of this request."""
        return self.shared.outputs[self.first : self.last]

    @property
    def batch_size(self) -> int:
        """Observations in the pass, other requests' included."""
        return len(self.shared.outputs)

    @property
    def compute_us(self) -> int:
        return self.shared.compute_us

    @property
    def is_finite(self) -> bool:
        return self.shared.is_finite or _all_finite(self.outputs)

    def actions(self, actor: Actor) -> NDArray[Any]:
        """Deterministic ones, without masks."""
        return self.shared.actions(actor)[self.first : self.last]

    @property
    def outside(self) -> Outside | None:
        """(B, D), of this request, or None: which values the policy did not meet in training."""
        if self.shared.outside is None:
            return None
        own = self.shared.outside[self.first : self.last]
        return own if own.any() else None

    @property
    def rows(self) -> Floats:
        """(B, D), of this request."""
        return self.shared.rows[self.first : self.last]
