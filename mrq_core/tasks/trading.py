"""Sell, hold or buy on a series of prices, `mrq/Trading-v0`.

An episode walks through consecutive rows of one split. The observation is one row: its columns
(prices as log ratios to the close before unless `relative` is false), min-max scaled by the
training split and clipped to [-1, 2], and then the position, 0 or 1, or -1 where `allow_short`.
`sell` takes the position down by one and `buy` up by one, as far as there is one; it is traded at
the open of the next row, worse by `slippage`, and `fee` is taken of the traded value. The reward is
100 times the change of the logarithm of the equity from close to close, so in percent nearly: the
return of an episode says how much was earned in it.

An episode ends where its split ends, truncated, for markets go on, and terminates when everything
is lost. The rows of the test split are let go when the file has been read, before anything is made
of them: only a backtest uses them.
Without a `file` the series is a made one, the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from mrq_core.markets.account import Costs, Market
from mrq_core.markets.decisions import position_after
from mrq_core.markets.features import HIGHEST, LOWEST, Frames, scaled_features
from mrq_core.markets.lookahead import refuse_leaks
from mrq_core.markets.series import ROLES, Columns, Series, open_series
from mrq_core.markets.split import Splits
from mrq_core.markets.split import split as split_rows

EPISODE_STEPS = 250  # a year of trading days
PERCENT = 100.0
MADE_ROWS = 2_000

SplitName: TypeAlias = Literal["train", "validation"]


class Trading(gymnasium.Env[Frames, np.int64]):
    def __init__(
        self,
        file: str | None = None,
        sha256: str = "",
        roles: Mapping[str, str] | None = None,
        features: Sequence[str] = (),
        split: SplitName = "train",
        fee: float = 0.001,
        slippage: float = 0.0005,
        allow_short: bool = False,
        relative: bool = True,
        validation_fraction: float = 0.2,
        test_fraction: float = 0.2,
        embargo: int = 5,
    ) -> None:
        """`file` with its `sha256`, and what its columns are: see `Columns`."""
        columns = (tuple(sorted((roles or {}).items())), tuple(features))
        fractions = (validation_fraction, test_fraction)
        self.series, splits = _untested(file, sha256, *columns, *fractions, embargo)
        self.rows: range = {"train": splits.train, "validation": splits.validation}[split]
        self.frames = scaled_features(self.series, splits.train, relative=relative)
        self.costs = Costs(fee=fee, slippage=slippage)
        self.allow_short = allow_short
        width = self.frames.shape[1] + 1
        self.observation_space = spaces.Box(LOWEST, HIGHEST, (width,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.market = Market(self.series, self.rows, self.costs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frames, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        last = max(self.rows.start, self.rows.stop - 1 - EPISODE_STEPS)
        start = int(self.np_random.integers(self.rows.start, last + 1))
        self.market = Market(self.series, range(start, self.rows.stop), self.costs)
        return self._observation(), self._info()

    def step(self, action: np.int64) -> tuple[Frames, float, bool, bool, dict[str, Any]]:
        held = self.market.account.position
        position = position_after(int(action), held, allow_short=self.allow_short)
        reward = PERCENT * self.market.step(position)
        ruined = self.market.ruined
        truncated = self.market.over and not ruined
        return self._observation(), reward, ruined, truncated, self._info()

    def _observation(self) -> Frames:
        position = np.float32(self.market.account.position)
        return np.append(self.frames[self.market.row], position)

    def _info(self) -> dict[str, Any]:
        market = self.market
        return {"row": market.row, "equity": market.equity, "turnover": market.account.turnover}


@lru_cache(maxsize=1)  # a run has two environments on it
def _untested(
    file: str | None,
    sha256: str,
    roles: tuple[tuple[str, str], ...],
    features: tuple[str, ...],
    validation_fraction: float,
    test_fraction: float,
    embargo: int,
) -> tuple[Series, Splits]:
    """All rows but those of the test split, which nothing holds any more. No column of it
    looks ahead."""
    if file is None:
        series = made_series()
    else:
        columns = Columns(roles=dict(roles), features=features)
        series = open_series(Path(file), sha256, columns)
    splits = split_rows(
        len(series),
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        embargo=embargo,
    )
    series = series.before(splits.validation.stop)
    refuse_leaks(series)
    return series, splits


def made_series(rows: int = MADE_ROWS, seed: int = 0) -> Series:
    """Daily prices around a slow wave, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    wave = 0.25 * np.sin(2 * np.pi * np.arange(rows) / 60)
    close = 100.0 * np.exp(wave + np.cumsum(rng.normal(0, 0.002, rows)))
    before = np.concatenate([close[:1], close[:-1]])
    open_ = before * np.exp(rng.normal(0, 0.001, rows))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.002, rows)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.002, rows)))
    volume = rng.integers(1_000, 2_000, rows).astype(np.float64)
    columns = Columns(roles={role: role for role in ROLES}, features=())
    day = 86_400_000_000
    times = np.arange(rows, dtype=np.int64) * day
    return Series(columns, times, np.column_stack([open_, high, low, close, volume]))
