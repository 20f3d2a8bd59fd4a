"""Importance weighting, per decision and self-normalised (Precup, Sutton and Singh 2000): of the
logged steps those count up to which the policy would have done the same, by how rarely the logging
policy did. N transitions, E episodes, R resamples of them, T steps of the longest episode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrq_core.progress import Alive, unheard

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Weighted:
    # (at most R): of the resamples with an episode that agrees with the policy to its end. The
    # others say nothing of what comes late in an episode; 0 for it would be an answer.
    values: Numbers
    effective_episodes: float  # as many equal weights would say as much


def importance_weighted(
    log_ratios: Numbers,
    rewards: Numbers,
    episode: NDArray[np.int64],
    moment: NDArray[np.int64],
    discount: float,
    weights: Numbers,
    alive: Alive = unheard,
) -> Weighted | None:
    """`log_ratios` (N): of how much more probable the logged action is with the policy, -inf where
    the policy would not take it; `weights` (R, E): how often each episode counts, in the first row
    once. None: the policy agrees with no episode to its end."""
    shape = (weights.shape[1], int(moment.max()) + 1)
    grid, gained = np.zeros(shape), np.zeros(shape)
    grid[episode, moment] = log_ratios
    gained[episode, moment] = rewards * discount**moment
    # An episode that has ended stays where it is and gains nothing. In logarithms, for the product
    # of a thousand ratios is beyond any float.
    trajectory = np.cumsum(grid, axis=1)  # (E, T)
    agrees = np.isfinite(trajectory[:, -1])
    if not agrees.any():
        return None
    values = []
    for each in weights:
        if each[agrees].any():
            values.append(_value(trajectory, gained, each))
        alive()
    last = np.exp(trajectory[agrees, -1] - trajectory[agrees, -1].max())
    return Weighted(np.array(values), float(last.sum() ** 2 / np.square(last).sum()))


def _value(trajectory: Numbers, gained: Numbers, weights: Numbers) -> float:
    """(E, T), (E, T) and (E); an episode that is drawn agrees to its end. Only the proportions of
    a moment's weights count, so that the largest may be 1."""
    drawn = weights > 0
    logs = trajectory[drawn]
    shares = weights[drawn, None] * np.exp(logs - logs.max(axis=0))
    return float(((shares * gained[drawn]).sum(axis=0) / shares.sum(axis=0)).sum())
