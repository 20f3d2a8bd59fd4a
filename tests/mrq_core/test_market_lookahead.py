"""A column shifted from the future is found, whatever was done to it; honest ones are not."""

from collections.abc import Callable

import numpy as np
import pytest

from mrq_core.markets.lookahead import LooksAhead, looking_ahead, refuse_leaks
from tests.prices import closes, csv_of, rows, series_of

COUNT = 400
TABLE = rows(COUNT)
CLOSE = closes(TABLE)
RETURN = np.diff(np.log(CLOSE), prepend=np.log(CLOSE[:1]))
NOISE = np.random.default_rng(5).normal(size=COUNT)


def shifted(values: np.ndarray, ahead: int) -> np.ndarray:
    """What is known only `ahead` rows later; the end is filled with the last one."""
    return np.concatenate([values[ahead:], np.repeat(values[-1:], ahead)])


PLANTED: dict[str, Callable[[], np.ndarray]] = {
    "tomorrow's close": lambda: shifted(CLOSE, 1),
    "the close in a week": lambda: shifted(CLOSE, 7),
    "tomorrow's close, scaled": lambda: 3 - 0.01 * shifted(CLOSE, 1),
    "tomorrow's return": lambda: shifted(RETURN, 1),
    "tomorrow's return, bent": lambda: np.tanh(80 * shifted(RETURN, 1)),
    "whether it will rise": lambda: np.sign(shifted(RETURN, 1)),
    "the return over five days": lambda: shifted(CLOSE, 5) / CLOSE,
    "tomorrow's return with a little noise": lambda: shifted(RETURN, 1) + 0.0003 * NOISE,
}

HONEST: dict[str, Callable[[], np.ndarray]] = {
    "the close again": lambda: CLOSE,
    "yesterday's close": lambda: np.concatenate([CLOSE[:1], CLOSE[:-1]]),
    "today's return": lambda: RETURN,
    "an average of the last five": lambda: np.convolve(CLOSE, np.ones(5) / 5)[:COUNT],
    "noise": lambda: NOISE,
    "constant": lambda: np.ones(COUNT),
    "a counter": lambda: np.arange(COUNT),
}


@pytest.mark.parametrize("make", PLANTED.values(), ids=PLANTED)
def test_a_planted_column_is_refused(make: Callable[[], np.ndarray]) -> None:
    with pytest.raises(LooksAhead, match=r"Column planted goes with .* It knows the future"):
        refuse_leaks(series_of(csv_of(TABLE, further={"honest": NOISE, "planted": make()})))


@pytest.mark.parametrize("make", HONEST.values(), ids=HONEST)
def test_an_honest_column_is_taken(make: Callable[[], np.ndarray]) -> None:
    series = series_of(csv_of(TABLE, further={"honest": make()}))
    refuse_leaks(series)
    assert not any(found.is_suspect for found in looking_ahead(series))


def test_in_a_smooth_series_the_present_is_no_leak() -> None:
    """Where tomorrow nearly follows from today, an honest copy of today goes with tomorrow, too."""
    wave = 100 + 10 * np.sin(np.arange(COUNT) / 60)
    table = [[row[0], *[f"{value:.9f}"] * 4, "1"] for row, value in zip(TABLE, wave, strict=True)]
    refuse_leaks(series_of(csv_of(table, further={"today": wave})))


def test_a_noisy_leak_is_a_suspect() -> None:
    planted = shifted(RETURN, 1) + 0.008 * NOISE
    series = series_of(csv_of(TABLE, further={"planted": planted}))
    refuse_leaks(series)
    (found,) = looking_ahead(series)
    assert found.is_suspect
    assert (found.rows, found.of) == (1, "the return")
