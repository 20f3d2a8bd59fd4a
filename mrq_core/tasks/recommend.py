"""Recommending films to real users, `mrq/Recommend-v0`.

An episode is ten recommendations to one user, drawn by the environment's seed. The action is one of
a hundred films; what was recommended already is masked. The reward is 1 if the user liked the film
(by the ratings they gave: mrq_core.tasks.ratings) and 0 if not, so that the return counts clicks in
a feed of ten.

The observation holds what is known of the user beforehand, and for each film 1 if it was
recommended and liked, -1 if it was recommended and not liked, 0 if it was not recommended yet.
An agent sees users of one group only (`users`): those that are held out tell what it is worth for
users it has never met.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from mrq_core.tasks.ratings import FILMS, Floats, Ratings, movielens

RECOMMENDATIONS = 10


class Recommend(gymnasium.Env[Floats, np.int64]):
    def __init__(
        self, users: Literal["train", "held_out"] = "train", ratings: Ratings | None = None
    ) -> None:
        self.ratings = movielens() if ratings is None else ratings
        self.users = self.ratings.users(held_out=users == "held_out")
        size = self.ratings.profiles.shape[1] + FILMS
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = spaces.Discrete(FILMS)
        self.user = 0
        self.answers = np.zeros(FILMS, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """`options={"user": row}` names the user; without, one is drawn."""
        super().reset(seed=seed)
        drawn = self.users[self.np_random.integers(len(self.users))]
        self.user = int((options or {}).get("user", drawn))
        self.answers = np.zeros(FILMS, np.float32)
        return self._see()

    def step(self, action: np.int64) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        if self.answers[action]:
            raise ValueError(f"film {action} was recommended already")
        liked = bool(self.ratings.liked[self.user, action])
        self.answers[action] = 1.0 if liked else -1.0
        over = np.count_nonzero(self.answers) == RECOMMENDATIONS
        observation, info = self._see()
        return observation, float(liked), over, False, info

    def _see(self) -> tuple[Floats, dict[str, Any]]:
        seen = np.concatenate([self.ratings.profiles[self.user], self.answers])
        return seen, {"action_mask": (self.answers == 0).astype(np.int8)}
