"""Small regressions of values, by hand."""

from typing import Any

import numpy as np

from mrq_core.off_policy.fitted import Fit


def fit(features: Any, following: Any, first: Any, rewards: Any, discount: float = 0.5) -> Fit:
    episode = np.arange(len(first)).repeat(len(rewards) // len(first))
    return Fit(
        np.array(features, np.float64),
        np.array(following, np.float64),
        np.array(first, np.float64),
        np.array(rewards, np.float64),
        episode,
        discount,
    )


def runaway(episodes: int) -> Fit:
    """Not even the most ridge damps a next feature that is so far away."""
    here, there = [[1.0, -1.0], [1.0, 1.0]] * episodes, [[1.0, 1e9], [1.0, -1e9]] * episodes
    return fit(here, there, [[1.0, 1.0]] * episodes, [0.0, 1.0] * episodes, discount=0.99)
