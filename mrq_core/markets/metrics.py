"""What a walk through some rows came to, and how much of it may be chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrq_core.intervals import Interval, percentiles
from mrq_core.markets.series import Values

RESAMPLES = 2_000
RESAMPLING_SEED = 0  # the same figures whenever somebody looks
YEAR_MICROSECONDS = 365.25 * 86_400e6
# Of resampled numbers that are in memory at once.
AT_ONCE = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Walk:
    """`steps`: the change of the logarithm of the equity in each row, (T,); `positions`: what was
    held in it."""

    steps: Values
    positions: NDArray[np.int64]
    turnover: float
    trades: int

    @property
    def equity(self) -> Values:
        """(T + 1,), beginning with 1."""
        curve: Values = np.exp(np.concatenate([[0.0], np.cumsum(self.steps)]))
        return curve


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """`sharpe` is annualised, of no interest rate, and None of steps that are all alike.
    `hit_rate`: of the rows in which something was held, those that gained; None if nothing was.
    `turnover`: traded values, each in units of the equity of its time."""

    total_return: float
    sharpe: float | None
    max_drawdown: float
    turnover: float
    trades: int
    hit_rate: float | None
    exposure: float


def measure(walk: Walk, rows_per_year: float) -> Metrics:
    held = walk.positions != 0
    equity = walk.equity
    return Metrics(
        total_return=float(equity[-1]) - 1,
        sharpe=finite(float(sharpe(walk.steps[None], rows_per_year)[0])),
        max_drawdown=float((1 - equity / np.maximum.accumulate(equity)).max()),
        turnover=walk.turnover,
        trades=walk.trades,
        hit_rate=float((walk.steps[held] > 0).mean()) if held.any() else None,
        exposure=float(held.mean()),
    )


def sharpe(steps: Values, rows_per_year: float) -> Values:
    """(N, T) to (N,): NaN where they do not differ."""
    gains = np.expm1(steps)
    spread = gains.std(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Values = gains.mean(axis=1) / np.where(spread > 1e-12, spread, np.nan)
    return ratio * math.sqrt(rows_per_year)


def rows_per_year(times: NDArray[np.int64]) -> float:
    return (len(times) - 1) / (float(times[-1] - times[0]) / YEAR_MICROSECONDS)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Percentiles over resampled rows, of one walk and of its lead over another one."""

    total_return: Interval
    sharpe: Interval | None
    lead: Interval


def intervals(walk: Walk, other: Walk, rows_per_year: float) -> Intervals:
    """Circular block bootstrap: rows are drawn in runs of `block_length`, for what follows on each
    other is not independent; both walks in the same rows. `lead` is of logarithms."""
    totals, ratios, leads = [], [], []
    for drawn in _blocks(len(walk.steps)):
        steps = walk.steps[drawn]
        totals.append(np.expm1(steps.sum(axis=1)))
        ratios.append(sharpe(steps, rows_per_year))
        leads.append((steps - other.steps[drawn]).sum(axis=1))
    found = np.concatenate(ratios)
    found = found[np.isfinite(found)]
    return Intervals(
        total_return=percentiles(np.concatenate(totals)),
        sharpe=percentiles(found) if len(found) else None,
        lead=percentiles(np.concatenate(leads)),
    )


def block_length(rows: int) -> int:
    return max(1, round(math.sqrt(rows)))


def _blocks(rows: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers, (n, T), a part of the resamples at a time."""
    rng = np.random.default_rng(RESAMPLING_SEED)
    length = block_length(rows)
    count, at_once = -(-rows // length), max(1, AT_ONCE // rows)
    for begun in range(0, RESAMPLES, at_once):
        n = min(at_once, RESAMPLES - begun)
        starts = rng.integers(rows, size=(n, count))
        drawn = (starts[:, :, None] + np.arange(length)) % rows
        yield drawn.reshape(n, -1)[:, :rows]


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def middle(walks: Sequence[Walk]) -> Walk:
    """The one of which as many earned less as more."""
    return sorted(walks, key=lambda walk: float(walk.steps.sum()))[len(walks) // 2]
