"""Columns that know the future.

A further column of row t is held against what the prices do after row t: against the returns of
each of the next rows and their signs, against the return over all of them together, and its changes
against those of the prices. By ranks, so that a copy is found however it was scaled or bent. One
that follows a coming row nearly exactly, and no present or past one as well, is a copy of the
future. This finds copies, not every leak: a column that was averaged over days before and after, or
that has much noise on it, is at most suspect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mrq_core.markets.series import PRICES, Series, Values

HORIZON = 10  # rows ahead
# A copy is one in any part of the series. Two columns of so many rows took 1.2 s of a core, of a
# million 11 s.
MOST_ROWS = 20_000
COPY = 0.99
SUSPECT = 0.5
# What is known anyway explains this much less of a copy, or it is none: in a smooth series the
# present nearly is the future.
TIMES_CLOSER = 10.0


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """A column that goes with what comes `rows` later. `correlation` is of ranks."""

    column: str
    of: str
    rows: int
    correlation: float
    known: float  # the largest with anything that was known on the row

    @property
    def is_copy(self) -> bool:
        gap, known_gap = 1 - abs(self.correlation), 1 - abs(self.known)
        return abs(self.correlation) >= COPY and known_gap > TIMES_CLOSER * gap + 1e-6

    @property
    def is_suspect(self) -> bool:
        return abs(self.correlation) >= max(SUSPECT, abs(self.known) + 0.1)

    def __str__(self) -> str:
        rows = "the next row" if self.rows == 1 else f"the row {self.rows} later"
        return (
            f"column {self.column} goes with {self.of} of {rows}: rank correlation "
            f"{self.correlation:.3f}, against {self.known:.3f} with anything known by then"
        )


class LooksAhead(ValueError):
    def __init__(self, found: Ahead) -> None:
        super().__init__(
            f"{str(found)[0].upper()}{str(found)[1:]}. It knows the future: leave it out, or move "
            f"it {found.rows} down, to the row on which it was known."
        )
        self.found = found


def refuse_leaks(series: Series) -> None:
    """LooksAhead for the first copy of the future."""
    for found in looking_ahead(series):
        if found.is_copy:
            raise LooksAhead(found)


def looking_ahead(series: Series) -> list[Ahead]:
    """For each further column what it goes with most of all that comes later."""
    if not series.columns.features:
        return []
    series = series.before(MOST_ROWS)
    levels, changes = _levels(series), _changes(series)
    names = series.columns.features
    return [
        _most(name, column, levels, changes)
        for name, column in zip(names, series.features.T, strict=True)
    ]


def _most(
    name: str, column: Values, levels: Mapping[str, Values], changes: Mapping[str, Values]
) -> Ahead:
    own, moved = _ranks(column), _ranks(np.diff(column, prepend=column[:1]))
    found = [*_pairs(own, levels), *_pairs(moved, changes), *_sums(own, levels)]
    known = max((r for rows, _, r in found if rows <= 0), key=abs, default=0.0)
    rows, of, most = max((each for each in found if each[0] > 0), key=lambda each: abs(each[2]))
    return Ahead(column=name, of=of, rows=rows, correlation=most, known=known)


def _pairs(own: Values, others: Mapping[str, Values]) -> Iterator[tuple[int, str, float]]:
    """Rows ahead, negative for behind; what; correlation."""
    for of, other in others.items():
        if of.startswith("the return over"):
            continue
        for rows in range(-HORIZON, HORIZON + 1):
            yield rows, of, _correlation(own, other, rows)


def _sums(own: Values, levels: Mapping[str, Values]) -> Iterator[tuple[int, str, float]]:
    """A return over k rows is read on its last row, k ahead of the one it begins with."""
    for rows in range(2, HORIZON + 1):
        of = f"the return over {rows} rows"
        yield rows, of, _correlation(own, levels[of], rows)
        yield 0, of, _correlation(own, levels[of], 0)


def _levels(series: Series) -> dict[str, Values]:
    close = np.log(series.of("close"))
    returns = np.diff(close, prepend=close[:1])
    found = {"the return": _ranks(returns), "the return's sign": _ranks(np.sign(returns))}
    for rows in range(2, HORIZON + 1):
        over = np.zeros_like(close)
        over[rows:] = close[rows:] - close[:-rows]
        found[f"the return over {rows} rows"] = _ranks(over)
    return found


def _changes(series: Series) -> dict[str, Values]:
    prices = {price: series.of(price) for price in PRICES}
    return {
        f"the change of {price}": _ranks(np.diff(column, prepend=column[:1]))
        for price, column in prices.items()
    }


def _correlation(own: Values, other: Values, rows: int) -> float:
    """Of `own` with `other` so many rows later."""
    length = len(own) - abs(rows)
    a = own[max(0, -rows) :][:length]
    b = other[max(0, rows) :][:length]
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _ranks(values: Values) -> Values:
    """Equal ones share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Values = (last - (counts - 1) / 2)[inverse]
    return ranks
