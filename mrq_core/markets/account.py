"""Money and a holding, with what trading costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mrq_core.markets.series import Series

# An account with less than this share of its start is closed: it has lost everything.
RUIN = 0.01


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Shares of the traded value. Slippage makes each price worse for whoever trades."""

    fee: float
    slippage: float


class Account:
    """Begins with 1 in cash. `position` is what was traded into: 1 all in the market, 0 out of it,
    -1 as much sold short; it then drifts with the price, and is not traded back."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.cash = 1.0
        self.units = 0.0
        self.position = 0
        self.turnover = 0.0  # traded values, each in units of the equity of its time
        self.trades = 0

    def equity(self, price: float) -> float:
        return self.cash + self.units * price

    def move_to(self, position: int, price: float) -> None:
        if position == self.position:
            return
        self.trades += 1
        self._trade(-self.units, price)
        if position > 0:
            bought = price * (1 + self.costs.slippage) * (1 + self.costs.fee)
            self._trade(max(0.0, self.cash) / bought, price)
        elif position < 0:
            self._trade(-max(0.0, self.cash) / price, price)
        self.position = position

    def _trade(self, units: float, price: float) -> None:
        if units == 0:
            return
        worse = 1 + math.copysign(self.costs.slippage, units)
        value = units * price * worse
        self.turnover += abs(units * price) / max(self.equity(price), RUIN)
        self.cash -= value + abs(value) * self.costs.fee
        self.units += units


class Market:
    """A walk through some rows with an account. What is decided on a row, when it is complete, is
    traded at the open of the next one."""

    def __init__(self, series: Series, rows: range, costs: Costs) -> None:
        self._open, self._close = series.of("open"), series.of("close")
        self.rows = rows
        self.row = rows.start
        self.account = Account(costs)
        self.equity = 1.0

    @property
    def over(self) -> bool:
        return self.row >= self.rows.stop - 1 or self.ruined

    @property
    def ruined(self) -> bool:
        return self.equity <= RUIN

    def step(self, position: int) -> float:
        """The change of the logarithm of the equity until the close of the next row."""
        assert not self.over
        self.row += 1
        self.account.move_to(position, float(self._open[self.row]))
        before, after = self.equity, self.account.equity(float(self._close[self.row]))
        self.equity = max(after, RUIN)
        return math.log(self.equity / before)
