"""What a few runs say about the next one: interquartile mean, mean and median, each with a 95 %
bootstrap interval (Agarwal et al. 2021, arXiv 2108.13264).

The interquartile mean leaves out the lowest and the highest quarter, rounded down to whole values:
of three it is the mean. The intervals are percentiles over resampled runs. Of few runs they are
rough, and too narrow rather than too wide.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 10_000
RESAMPLING_SEED = 0  # the same figures whenever somebody looks

Values = NDArray[np.float64]
# Over the last axis.
Statistic = Callable[[Values], Values]


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """`low` and `high` are None of a single run, which cannot tell."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    n: int
    iqm: Estimated
    mean: Estimated
    median: Estimated
    least: float
    most: float


def aggregate(values: Sequence[float]) -> Aggregate | None:
    """None of no values."""
    if not values:
        return None
    return Aggregate(
        n=len(values),
        iqm=estimated(values, interquartile_mean),
        mean=estimated(values, lambda x: x.mean(-1)),
        median=estimated(values, lambda x: np.median(x, axis=-1)),
        least=min(values),
        most=max(values),
    )


def interquartile_mean(values: Values) -> Values:
    cut = values.shape[-1] // 4
    kept = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    return np.asarray(kept.mean(-1))


def estimated(values: Sequence[float], statistic: Statistic) -> Estimated:
    runs = np.array(values, np.float64)
    value = float(statistic(runs))
    if len(runs) < 2:
        return Estimated(value=value, low=None, high=None)
    rng = np.random.default_rng(RESAMPLING_SEED)
    resampled = statistic(runs[rng.integers(len(runs), size=(RESAMPLES, len(runs)))])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimated(value=value, low=float(low), high=float(high))
