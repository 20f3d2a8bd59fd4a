"""Importance weighting, per decision and self-normalised (Precup, Sutton and Singh 2000): of the
logged steps those count in which the policy would have done the same, by how rarely the logging
policy did. T is the longest episode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Weighted:
    values: Numbers  # (R)
    effective_episodes: float  # as many equal weights would say as much


def importance_weighted(
    ratios: Numbers,
    rewards: Numbers,
    episode: NDArray[np.int64],
    moment: NDArray[np.int64],
    discount: float,
    weights: Numbers,
) -> Weighted | None:
    """`ratios` (N): how much more probable the action is with the policy; `weights` (R, E). None:
    the policy does nowhere what was logged."""
    shape = (weights.shape[1], int(moment.max()) + 1)
    grid, gained = np.full(shape, np.nan), np.zeros(shape)
    grid[episode, moment] = ratios
    gained[episode, moment] = rewards * discount**moment
    # An episode that has ended stays where it is and gains nothing.
    trajectory = np.cumprod(np.where(np.isnan(grid), 1.0, grid), axis=1)  # (E, T)
    last = trajectory[:, -1]
    if not last.any():
        return None
    total = weights @ trajectory  # (R, T)
    found = weights @ (trajectory * gained)
    # Where no episode goes on as the policy would, nothing is known, and nothing counted.
    values = np.where(total > 0, found / np.where(total > 0, total, 1.0), 0.0).sum(axis=1)
    return Weighted(values, float(last.sum() ** 2 / np.square(last).sum()))
