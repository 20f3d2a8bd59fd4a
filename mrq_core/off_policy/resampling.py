"""Intervals by resampling whole episodes: rows of one episode are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrq_core.intervals import percentiles

RESAMPLES = 200


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


def resampled(episodes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(1 + RESAMPLES, E): how often each episode is drawn; in the first row once each."""
    drawn = rng.multinomial(episodes, np.full(episodes, 1 / episodes), RESAMPLES)
    return np.concatenate([np.ones((1, episodes)), drawn.astype(np.float64)])


def interval(values: NDArray[np.float64]) -> Interval:
    """(1 + R): of the whole log, then of its resamples, of which some may be missing. Percentiles
    of these, and never without the value."""
    ends, value = percentiles(values[1:]), float(values[0])
    return Interval(value, min(ends.low, value), max(ends.high, value))
