"""Gymnasium's toy text: small tables, for which states are one-hot."""

from store.catalogue.entry import (
    Area,
    EnvironmentEntry,
    Kwargs,
    Probability,
    Suggestion,
    one_of,
)


class FrozenLakeKwargs(Kwargs):
    is_slippery: bool = True
    success_rate: Probability = 1 / 3


class TaxiKwargs(Kwargs):
    is_rainy: bool = False
    fickle_passenger: bool = False


class BlackjackKwargs(Kwargs):
    natural: bool = False
    sab: bool = True


class CliffWalkingKwargs(Kwargs):
    is_slippery: bool = False


AREA = Area(
    name="toy text", extra="train", licence="MIT", suggestion=Suggestion(total_steps=20_000)
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("FrozenLake-v1", (16,), one_of(4), 100, FrozenLakeKwargs),
    AREA.row("FrozenLake8x8-v1", (64,), one_of(4), 200, FrozenLakeKwargs),
    AREA.row("Taxi-v4", (500,), one_of(6), 200, TaxiKwargs, masked=True),
    AREA.row("CliffWalking-v1", (48,), one_of(4), 500, CliffWalkingKwargs),
    AREA.row("Blackjack-v1", (45,), one_of(2), 100, BlackjackKwargs),
]
