"""A policy on the rows of the test split, beside three that need no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mrq_core.markets.account import Costs, Market
from mrq_core.markets.decisions import BUY, HOLD, SELL, position_after
from mrq_core.markets.features import Frames, scaled_features
from mrq_core.markets.metrics import (
    Intervals,
    Metrics,
    Walk,
    intervals,
    measure,
    middle,
    rows_per_year,
)
from mrq_core.markets.series import Series
from mrq_core.markets.split import Splits

# From the window of observations, (H, N), oldest first, to an action.
Decide: TypeAlias = Callable[[Frames], int]
# From where the market stands.
Act: TypeAlias = Callable[[Market], int]

MOST_ROWS = 100_000
RANDOM_RUNS = 100
# Of all random runs together.
MOST_RANDOM_STEPS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Of the environment that the policy was trained in."""

    costs: Costs
    allow_short: bool
    relative: bool
    history: int


@dataclass(frozen=True, kw_only=True)
class Strategy:
    name: str
    walk: Walk
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Result:
    """`random` is the middle one of its runs; `beaten`: the share of them that earned less than the
    policy. `lead`: of the policy over buy-and-hold, in logarithms."""

    strategies: tuple[Strategy, ...]
    intervals: Intervals
    lead: float
    random_runs: int
    beaten: float


class TooManyRows(ValueError):
    pass


def backtest(series: Series, splits: Splits, rules: Rules, decide: Decide) -> Result:
    rows = splits.test
    if len(rows) > MOST_ROWS:
        raise TooManyRows(f"the test split has {len(rows):,} rows; allowed: {MOST_ROWS:,}")
    frames = scaled_features(series, splits.train, relative=rules.relative)
    policy = walk(series, frames, rows, rules, decide)
    holding = traded(series, rows, rules, lambda _: BUY)
    flat = traded(series, rows, rules, lambda _: HOLD)
    runs = max(1, min(RANDOM_RUNS, MOST_RANDOM_STEPS // len(rows)))
    random = [traded(series, rows, rules, _random(seed)) for seed in range(runs)]
    pace = rows_per_year(series.times[rows.start : rows.stop])
    named = {
        "policy": policy,
        "buy_and_hold": holding,
        "flat": flat,
        "random": middle(random),
    }
    earned = policy.steps.sum()
    return Result(
        strategies=tuple(
            Strategy(name=name, walk=each, metrics=measure(each, pace))
            for name, each in named.items()
        ),
        intervals=intervals(policy, holding, pace),
        lead=float(earned - holding.steps.sum()),
        random_runs=runs,
        beaten=float(np.mean([each.steps.sum() < earned for each in random])),
    )


def walk(series: Series, frames: Frames, rows: range, rules: Rules, decide: Decide) -> Walk:
    return traded(series, rows, rules, _Watching(frames, rules.history, decide))


class _Watching:
    """At the start the first row stands for those before it, as in training."""

    def __init__(self, frames: Frames, history: int, decide: Decide) -> None:
        self._frames = frames
        self._decide = decide
        self._history = history
        self._window: Frames | None = None

    def __call__(self, market: Market) -> int:
        position = np.float32(market.account.position)
        seen = np.append(self._frames[market.row], position)[None]
        if self._window is None:
            self._window = np.repeat(seen, self._history, axis=0)
        else:
            self._window = np.concatenate([self._window[1:], seen])
        return self._decide(self._window)


def traded(series: Series, rows: range, rules: Rules, act: Act) -> Walk:
    """Flat at first."""
    market = Market(series, rows, rules.costs)
    steps, positions = np.zeros(len(rows) - 1), np.zeros(len(rows) - 1, np.int64)
    while not market.over:
        at = market.row - rows.start
        held = market.account.position
        position = position_after(act(market), held, allow_short=rules.allow_short)
        steps[at], positions[at] = market.step(position), position
    account = market.account
    return Walk(steps=steps, positions=positions, turnover=account.turnover, trades=account.trades)


def _random(seed: int) -> Act:
    rng = np.random.default_rng(seed)
    return lambda _: int(rng.integers(SELL, BUY + 1))
