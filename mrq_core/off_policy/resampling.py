"""Intervals by resampling whole episodes: rows of one episode are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 200
CONFIDENCE = 0.95


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
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    value = float(values[0])
    return Interval(value, min(float(low), value), max(float(high), value))
