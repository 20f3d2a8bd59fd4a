"""Fitted Q evaluation, linear in given features, refitted for every resample of the episodes.

FQE: Le, Voloshin and Yue 2019, arXiv 1903.08738. Refitting on resampled episodes for an interval:
Hao et al. 2021, arXiv 2102.03607. Each iteration regresses r + discount * Q(s', pi(s')) on the
features of (s, a), by ridge that leaves the constant alone. N transitions, E episodes, F features,
R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mrq_core.progress import Alive, unheard

Numbers = NDArray[np.float64]

# Of the features' mean square, which is 1.
RIDGE = 1e-3
RIDGES = 6
# Beyond this share of the discounted future nothing is added.
FORGOTTEN = 1e-3
MOST_FEATURES = 64
_SMALLEST = 1e-8


@dataclass(frozen=True)
class Fit:
    """The first feature is the constant 1. `following` has zeros where there is none: after a
    termination."""

    features: Numbers  # (N, F), of state and logged action
    following: Numbers  # (N, F), of the next state and what is done there
    first: Numbers  # (E, F), of each episode's first state and what is done there
    rewards: Numbers  # (N)
    episode: NDArray[np.int64]  # (N)
    discount: float

    def values(self, weights: Numbers, alive: Alive = unheard) -> Numbers:
        """(R, E) -> (R): the mean over the first states, each episode as often as is said. NaN
        where none of its episodes has a transition here, and where values grow beyond a float."""
        found = np.full(len(weights), np.nan)
        for resample, each in enumerate(weights):
            of_rows = each[self.episode]
            if of_rows.any():
                found[resample] = self._value(each, of_rows)
            alive()
        return found

    def _value(self, weights: Numbers, of_rows: Numbers) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            firsts = np.clip(self.first @ self._coefficients(of_rows), *self._possible)
            return float(weights @ firsts / weights.sum())

    @cached_property
    def _possible(self) -> tuple[float, float]:
        """No return is beyond that of the least, or the largest, reward for ever."""
        forever = 1 / (1 - self.discount) if self.discount < 1 else math.inf
        low, high = min(0.0, self.rewards.min()), max(0.0, self.rewards.max())
        return (low * forever if low else 0.0), (high * forever if high else 0.0)

    @cached_property
    def _shrunk(self) -> Numbers:
        """(F, F). A constant that is shrunk, however little, is bootstrapped from again and again:
        with a discount of 0.99 a ridge of 0.001 would take a tenth from every value."""
        return np.diag(np.arange(self.features.shape[1]) > 0).astype(np.float64)

    def _coefficients(self, weights: Numbers) -> Numbers:
        """(F) at the fixed point of the iterations; with more ridge where they have none."""
        weighted = self.features * weights[:, None]
        square = weighted.T @ self.features
        step = weighted.T @ self.following
        told = weighted.T @ self.rewards
        ridge = RIDGE * weights.sum()
        for _ in range(RIDGES):
            damped = square + ridge * self._shrunk
            iteration = self.discount * np.linalg.solve(damped, step)
            if np.abs(np.linalg.eigvals(iteration)).max() < 1 - _SMALLEST:
                break
            ridge *= 10
        else:  # as many iterations as matter, whatever they lead to: the values are clipped
            return _iterated(iteration, np.linalg.solve(damped, told), self.discount)
        return np.linalg.solve(damped - self.discount * step, told)


def values_of(fits: Sequence[Fit], weights: Numbers, alive: Alive = unheard) -> Numbers:
    """(R, E) -> (R): the first is the mean of what all fits say; the others take turns, so that
    an interval also holds what hangs on the features."""
    first = np.mean([fit.values(weights[:1], alive)[0] for fit in fits])
    found = np.full(len(weights), first)
    for turn, fit in enumerate(fits):
        found[1 + turn :: len(fits)] = fit.values(weights[1 + turn :: len(fits)], alive)
    return found


def _iterated(iteration: Numbers, start: Numbers, discount: float) -> Numbers:
    found = start
    for _ in range(math.ceil(math.log(FORGOTTEN) / math.log(min(discount, 0.999) or FORGOTTEN))):
        found = start + iteration @ found
    return found


def in_common_units(features: Numbers, *others: Numbers) -> tuple[Numbers, ...]:
    """Centred, along the principal axes of the first ones, each with mean square 1 there, and a
    constant. The same change for all."""
    centre = features.mean(axis=0)
    variances, axes = np.linalg.eigh(
        np.cov(features, rowvar=False, bias=True).reshape(features.shape[1], features.shape[1])
    )
    kept = np.argsort(variances)[::-1][:MOST_FEATURES]
    kept = kept[variances[kept] > _SMALLEST * max(variances.max(), _SMALLEST)]
    scaled = axes[:, kept] / np.sqrt(variances[kept])

    def changed(each: Numbers) -> Numbers:
        return np.column_stack([np.ones(len(each)), (each - centre) @ scaled])

    return tuple(changed(each) for each in (features, *others))
