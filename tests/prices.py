"""Tables of prices for tests, made of few words."""

import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from mrq_core.csv_table import Limits
from mrq_core.markets.series import Series, read_series

HEADER = ("Date", "Open", "High", "Low", "Close", "Volume")


def rows(count: int = 300, seed: int = 0) -> list[list[str]]:
    """A random walk, day by day from 2020 on."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.002, count))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.003, count)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.003, count)))
    volume = rng.integers(1_000, 9_000, count)
    days = [(date(2020, 1, 1) + timedelta(days=n)).isoformat() for n in range(count)]
    numbers = zip(open_, high, low, close, strict=True)
    return [
        [day, *(f"{value:.6f}" for value in four), str(v)]
        for day, four, v in zip(days, numbers, volume, strict=True)
    ]


def csv_of(
    table: Sequence[Sequence[str]],
    header: Sequence[str] = HEADER,
    further: Mapping[str, Any] | None = None,
) -> bytes:
    """`further`: columns by name, one number for each row."""
    added = further or {}
    lines = [",".join([*header, *added])]
    for index, row in enumerate(table):
        lines.append(",".join([*row, *(repr(float(column[index])) for column in added.values())]))
    return ("\n".join(lines) + "\n").encode()


def series_of(content: bytes) -> Series:
    return read_series(io.BytesIO(content), Limits())


def closes(table: Sequence[Sequence[str]]) -> np.ndarray:
    return np.array([float(row[4]) for row in table])
