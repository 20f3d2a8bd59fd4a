"""One confidence for all that is resampled in the core."""

import numpy as np
import pytest

from mrq_core import intervals
from mrq_core.intervals import percentiles
from mrq_core.markets.metrics import Walk
from mrq_core.markets.metrics import intervals as market_intervals
from mrq_core.off_policy.resampling import interval

VALUES = np.arange(1_001.0)
ESTIMATES = np.concatenate([[500.0], VALUES])
FLAT = Walk(steps=np.zeros(400), positions=np.zeros(400, np.int64), turnover=0.0, trades=0)


def test_as_much_is_left_out_on_either_side() -> None:
    found = percentiles(VALUES)
    assert (found.low, found.high) == pytest.approx((25.0, 975.0))


def test_markets_and_logs_have_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = np.random.default_rng(0).normal(0, 0.01, 400)
    walk = Walk(steps=steps, positions=np.ones(400, np.int64), turnover=1.0, trades=1)

    def widths() -> tuple[float, float]:
        market, log = market_intervals(walk, FLAT, 252.0).lead, interval(ESTIMATES)
        return market.high - market.low, log.high - log.low

    wide = widths()
    monkeypatch.setattr(intervals, "CONFIDENCE", 0.5)
    assert all(narrow < 0.6 * before for narrow, before in zip(widths(), wide, strict=True))
