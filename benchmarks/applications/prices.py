"""A table of made prices, for the trader: no market's."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

FIRST_DAY = date(2020, 1, 1)


def made_prices(days: int = 600, seed: int = 0) -> str:
    """A CSV as `POST /datasets` takes it."""
    rng = np.random.default_rng(seed)
    lines, close = ["Date,Open,High,Low,Close,Volume"], 100.0
    for day in range(days):
        opens = close * float(np.exp(rng.normal(0.0, 0.005)))
        close = opens * float(np.exp(rng.normal(0.0, 0.01)))
        high, low = max(opens, close) * 1.002, min(opens, close) * 0.998
        numbers = f"{opens:.4f},{high:.4f},{low:.4f},{close:.4f},{rng.integers(1_000, 2_000)}"
        lines.append(f"{FIRST_DAY + timedelta(days=day)},{numbers}")
    return "\n".join(lines) + "\n"
