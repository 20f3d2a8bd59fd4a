"""Episodes that somebody else has lived through. N rows, E episodes, D observed, A action."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrq_core.logged.columns import Columns
from mrq_core.spaces import Floats

FEWEST_EPISODES = 2  # to learn from, and to judge by: one alone says nothing of chance


@dataclass(frozen=True)
class Log:
    """A row is an observation, what was done there and what came of it, or, where `is_final`, only
    what was seen at an episode's end."""

    columns: Columns
    observations: Floats  # (N, D)
    actions: Floats  # (N, A'): as in the file, so one number for a discrete action
    rewards: Floats  # (N)
    terminated: NDArray[np.bool_]  # (N)
    is_final: NDArray[np.bool_]  # (N)
    propensities: NDArray[np.float64] | None  # (N): how probable the action was; NaN where final
    starts: NDArray[np.int64]  # (E + 1): where episodes begin, and N

    @property
    def episodes(self) -> int:
        return len(self.starts) - 1

    def transitions(self, episode: int) -> int:
        """Those with a known outcome: the last row of an episode that was cut off is none, for
        nobody knows what was seen after it."""
        last = int(self.starts[episode + 1]) - 1
        rows = last + 1 - int(self.starts[episode])
        return rows if self.terminated[last] else rows - 1

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """(A') each: of the actions that occur."""
        taken = self.actions[~self.is_final]
        return taken.min(axis=0), taken.max(axis=0)


class SplitRefused(ValueError):
    pass


def split_episodes(episodes: int, validation_fraction: float) -> NDArray[np.bool_]:
    """(E): which ones are kept for judging, spread evenly over all of them. Not by the seed of a
    run, so that two runs are judged by the same ones."""
    kept = judged_episodes(episodes, validation_fraction)
    marks = np.floor(np.arange(episodes + 1) * kept / episodes)
    return np.diff(marks) > 0


def judged_episodes(episodes: int, validation_fraction: float) -> int:
    """How many are kept for judging. `SplitRefused` where too few are left of either kind."""
    kept = math.floor(episodes * validation_fraction)
    if validation_fraction > 0 and kept < FEWEST_EPISODES:
        raise SplitRefused(
            f"validation_fraction={validation_fraction:g} of {episodes} episodes leaves {kept} to "
            f"judge the policy by; at least {FEWEST_EPISODES} are needed, or 0 for no judgement"
        )
    if episodes - kept < FEWEST_EPISODES:
        raise SplitRefused(
            f"validation_fraction={validation_fraction:g} of {episodes} episodes leaves "
            f"{episodes - kept} to learn from; at least {FEWEST_EPISODES} are needed"
        )
    return kept
