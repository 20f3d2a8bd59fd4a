"""Figures of a backtest by numbers worked out here."""

import math
from typing import Any

import numpy as np
import pytest

from mrq_core.markets import backtest as module
from mrq_core.markets.account import Costs
from mrq_core.markets.backtest import Rules, TooManyRows, backtest, walk
from mrq_core.markets.decisions import BUY, HOLD, SELL
from mrq_core.markets.features import Frames, scaled_features
from mrq_core.markets.metrics import Walk, _blocks, block_length, intervals, measure, rows_per_year
from mrq_core.markets.split import split
from tests.prices import csv_of, rows, series_of

FREE = Rules(costs=Costs(fee=0.0, slippage=0.0), allow_short=False, relative=True, history=3)
DEAR = Rules(costs=Costs(fee=0.01, slippage=0.0), allow_short=True, relative=True, history=3)
KWARGS: dict[str, Any] = {"validation_fraction": 0.2, "test_fraction": 0.2, "embargo": 5}
SERIES = series_of(csv_of(rows(600)))
SPLITS = split(600, **KWARGS)
TEST = SPLITS.test


def of(*steps: float, positions: list[int] | None = None) -> Walk:
    held = np.ones(len(steps), np.int64) if positions is None else np.array(positions)
    return Walk(steps=np.array(steps), positions=held, turnover=1.0, trades=1)


def test_figures_of_a_short_walk() -> None:
    found = measure(
        of(math.log(1.5), math.log(0.5), 0.0, math.log(1.2), positions=[1, 1, 0, 1]), 252.0
    )
    assert found.total_return == pytest.approx(1.5 * 0.5 * 1.2 - 1)
    assert found.max_drawdown == pytest.approx(0.5)
    assert found.hit_rate == pytest.approx(2 / 3)
    assert found.exposure == 0.75
    gains = np.array([0.5, -0.5, 0.0, 0.2])
    assert found.sharpe == pytest.approx(gains.mean() / gains.std() * math.sqrt(252))


def test_of_nothing_there_is_no_ratio() -> None:
    flat = measure(of(0.0, 0.0, positions=[0, 0]), 252.0)
    assert (flat.sharpe, flat.hit_rate, flat.exposure, flat.max_drawdown) == (None, None, 0, 0)


def test_a_year_has_as_many_rows_as_the_times_say() -> None:
    assert rows_per_year(SERIES.times) == pytest.approx(365.25)


def test_buying_and_holding_is_what_the_prices_did() -> None:
    result = backtest(SERIES, SPLITS, FREE, lambda _: BUY)
    policy, holding, flat, _ = result.strategies
    first, last = SERIES.of("open")[TEST.start + 1], SERIES.of("close")[TEST.stop - 1]
    assert holding.metrics.total_return == pytest.approx(last / first - 1)
    assert policy.metrics == holding.metrics
    assert result.lead == 0.0
    assert result.intervals.lead.low == result.intervals.lead.high == 0.0
    assert (flat.metrics.total_return, flat.metrics.trades) == (0.0, 0)


def test_costs_are_taken_and_turnover_counted() -> None:
    frames = scaled_features(SERIES, SPLITS.train, relative=True)
    turns, again = iter([BUY, SELL] * 200), iter([BUY, SELL] * 200)
    found = walk(SERIES, frames, TEST, DEAR, lambda _: next(turns))
    assert found.trades == len(TEST) - 1
    free = walk(SERIES, frames, TEST, FREE, lambda _: next(again))
    paid = free.steps.sum() - found.steps.sum()
    # A hundredth at each purchase and each sale, of the traded value.
    bought, sold = math.log(1.01), -math.log(0.99)
    assert paid == pytest.approx(60 * bought + 59 * sold)
    assert found.turnover == pytest.approx(60 / 1.01 + 59, rel=1e-3)


def test_the_policy_sees_the_window_that_training_shows() -> None:
    frames = scaled_features(SERIES, SPLITS.train, relative=True)
    seen: list[Frames] = []

    def decide(window: Frames) -> int:
        seen.append(window.copy())
        return BUY if len(seen) == 2 else HOLD

    walk(SERIES, frames, TEST, FREE, decide)
    assert len(seen) == len(TEST) - 1
    start = TEST.start
    assert (seen[0][:, :-1] == frames[[start, start, start]]).all()
    assert (seen[5][:, :-1] == frames[start + 3 : start + 6]).all()
    assert seen[5][:, -1].tolist() == [1, 1, 1]
    assert [window[-1, -1] for window in seen[:4]] == [0, 0, 1, 1]


def test_random_actions_are_the_same_each_time_and_beaten_by_an_oracle() -> None:
    closes, opens = SERIES.of("close"), SERIES.of("open")
    at = iter(range(TEST.start, TEST.stop))

    def oracle(_: Frames) -> int:
        row = next(at) + 1
        return BUY if closes[row] > opens[row] else SELL

    result = backtest(SERIES, SPLITS, FREE, oracle)
    assert result.random_runs == 100
    assert result.beaten == 1.0
    assert result.lead > 0
    assert result.intervals.lead.low > 0, "beyond chance"
    again = backtest(SERIES, SPLITS, FREE, lambda _: HOLD)
    assert again.strategies[3].metrics == result.strategies[3].metrics
    assert 0 < again.beaten < 1


def test_a_lead_within_chance_has_zero_in_its_interval() -> None:
    rng = np.random.default_rng(1)
    one, other = of(*rng.normal(0, 0.01, 400)), of(*rng.normal(0, 0.01, 400))
    found = intervals(one, other, 252.0)
    assert found.lead.low < 0 < found.lead.high
    assert found.total_return.low < measure(one, 252.0).total_return < found.total_return.high


def test_rows_are_drawn_in_blocks() -> None:
    assert [block_length(rows) for rows in (1, 100, 466)] == [1, 10, 22]
    drawn = np.concatenate(list(_blocks(100)))
    assert drawn.shape == (2_000, 100)
    assert (np.diff(drawn.reshape(2_000, 10, 10), axis=2) % 100 == 1).all()
    assert np.bincount(drawn.ravel(), minlength=100).min() > 0


def test_intervals_grow_where_rows_follow_on_each_other() -> None:
    """In runs of ten alike the sum of a year spreads more than of as many independent ones, and an
    interval that drew single rows would not see it."""
    rng = np.random.default_rng(2)
    draws = rng.normal(0, 0.01, 100)
    together, apart = np.repeat(draws, 10), rng.permutation(np.repeat(draws, 10))

    def width(steps: np.ndarray) -> float:
        found = intervals(of(*steps), of(*np.zeros(1_000)), 252.0).lead
        return found.high - found.low

    assert width(together) > 2 * width(apart)


def test_a_test_split_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    with pytest.raises(TooManyRows, match="has 120 rows; allowed: 100"):
        backtest(SERIES, SPLITS, FREE, lambda _: BUY)


@pytest.mark.parametrize("now", [485, 540, 597])
def test_shuffling_future_rows_changes_no_decision_before(now: int) -> None:
    table = rows(600)
    order = [*range(now + 1), *(now + 1 + np.random.default_rng(now).permutation(599 - now))]
    shuffled = series_of(csv_of([[table[n][0], *table[order[n]][1:]] for n in range(600)]))

    def recorded(series: Any) -> tuple[list[int], list[float]]:
        actions: list[int] = []

        def decide(window: Frames) -> int:
            actions.append(int(1_000 * abs(float(window.sum()))) % 3)
            return actions[-1]

        frames = scaled_features(series, SPLITS.train, relative=True)
        found = walk(series, frames, TEST, DEAR, decide)
        done = now - TEST.start
        return actions[: done + 1], found.steps[:done].tolist()

    assert recorded(SERIES) == recorded(shuffled)
