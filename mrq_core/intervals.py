"""How sure a resampled figure is: one confidence for all that is resampled here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    low: float
    high: float


def percentiles(resamples: NDArray[np.float64]) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
