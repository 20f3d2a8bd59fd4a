"""Learning curves of several runs, seen together: on common steps, how soon they reach a return,
and how probable it is that one way of learning is better than another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from store.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    RESAMPLING_SEED,
    Estimated,
    estimated,
    interquartile_mean,
)

# More would show nothing more, and each needs its own resampling.
MOST_GRID_STEPS = 40

Curve = Sequence[tuple[int, float]]  # (step, mean return), by step


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """`iqm` over the `n` runs that were evaluated at this step, or before and after it."""

    step: int
    n: int
    iqm: Estimated


@dataclass(frozen=True, kw_only=True)
class Reached:
    """`steps` of each run, None of one that never came so far. `median`: of all of them, where
    those count as infinite; None if it is."""

    steps: Sequence[int | None]
    median: float | None

    @property
    def n(self) -> int:
        return sum(step is not None for step in self.steps)


def grid_of(curves: Sequence[Curve], last: int) -> list[int]:
    """The steps at which any of them was evaluated up to `last`, thinned evenly."""
    steps = sorted({step for curve in curves for step, _ in curve if step <= last})
    if len(steps) <= MOST_GRID_STEPS:
        return steps
    chosen = np.linspace(0, len(steps) - 1, MOST_GRID_STEPS).round().astype(int)
    return [steps[index] for index in sorted(set(chosen.tolist()))]


def value_at(curve: Curve, step: int) -> float | None:
    """On the straight line between two evaluations; never beyond the first or the last."""
    for (before, low), (after, high) in pairwise(curve):
        if before <= step <= after:
            return low + (high - low) * (step - before) / (after - before)
    only = dict(curve)
    return only.get(step)


def on_grid(curves: Sequence[Curve], grid: Sequence[int]) -> list[GridPoint]:
    points = []
    for step in grid:
        values = values_at(curves, step)
        if values:
            iqm = estimated(values, interquartile_mean)
            points.append(GridPoint(step=step, n=len(values), iqm=iqm))
    return points


def values_at(curves: Sequence[Curve], step: int) -> list[float]:
    """Of the runs that came so far."""
    found = (value_at(curve, step) for curve in curves)
    return [value for value in found if value is not None]


def reached(curves: Sequence[Curve], wanted: float) -> Reached:
    steps = [next((s for s, value in curve if value >= wanted), None) for curve in curves]
    infinite = [float("inf") if step is None else float(step) for step in steps]
    median = float(np.median(infinite)) if infinite else float("inf")
    return Reached(steps=steps, median=median if np.isfinite(median) else None)


def probability_of_improvement(values: Sequence[float], others: Sequence[float]) -> Estimated:
    """That a run of the first kind gives more than one of the second, ties counted half (Agarwal et
    al. 2021); both kinds are resampled."""
    ours, theirs = np.array(values, np.float64), np.array(others, np.float64)
    larger = np.sign(ours[:, None] - theirs[None, :]) / 2 + 0.5
    value = float(larger.mean())
    if len(ours) < 2 or len(theirs) < 2:
        return Estimated(value=value, low=None, high=None)
    rng = np.random.default_rng(RESAMPLING_SEED)
    # How often each run was drawn: all pairs of a resample at once.
    drawn = rng.multinomial(len(ours), [1 / len(ours)] * len(ours), RESAMPLES) / len(ours)
    against = rng.multinomial(len(theirs), [1 / len(theirs)] * len(theirs), RESAMPLES) / len(theirs)
    resampled = ((drawn @ larger) * against).sum(-1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimated(value=value, low=float(low), high=float(high))
