"""What is to be known of a series before it is used: ranges, gaps, what is odd about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mrq_core.markets.lookahead import looking_ahead
from mrq_core.markets.series import ROLES, Series, Values

BINS = 20
# A step of time this many times the usual one is a gap; weekends of daily prices are none.
GAP_FACTOR = 5.0
MAX_GAPS = 20


def report_on(series: Series) -> dict[str, Any]:
    """JSON. LooksAhead if a column is a copy of the future."""
    ahead = looking_ahead(series)
    columns = [
        describe_column(name, role, series.values[:, index])
        for index, (name, role) in enumerate(_named(series))
    ]
    return {
        "rows": len(series),
        "columns": columns,
        "time": _time(series),
        "lookahead": [
            {
                "column": each.column,
                "of": each.of,
                "rows_ahead": each.rows,
                "correlation": each.correlation,
                "known": each.known,
                "suspect": each.is_suspect,
            }
            for each in ahead
        ],
        "warnings": [*_warnings(series), *(f"{each}." for each in ahead if each.is_suspect)],
    }


def _named(series: Series) -> list[tuple[str, str]]:
    roles = [*ROLES[1:], *("feature" for _ in series.columns.features)]
    return list(zip(series.columns.names, roles, strict=True))


def describe_column(name: str, role: str, values: Values) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values, BINS)
    return {
        "name": name,
        "role": role,
        "type": "number",
        "missing": 0,
        "minimum": low,
        "maximum": high,
        "mean": float(values.mean()),
        "std": float(values.std()),
        "median": float(np.median(values)),
        "distinct": len(np.unique(values)),
        "constant": low == high,
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }


def _time(series: Series) -> dict[str, Any]:
    steps = np.diff(series.times)
    usual = float(np.median(steps))
    long = np.flatnonzero(steps > GAP_FACTOR * usual)
    return {
        "column": series.columns.roles[ROLES[0]],
        "first": iso_time(series.times[0]),
        "last": iso_time(series.times[-1]),
        "usual_step_seconds": usual / 1e6,
        "gap_count": len(long),
        "gaps": [
            {"after": iso_time(series.times[row]), "seconds": float(steps[row]) / 1e6}
            for row in long[:MAX_GAPS]
        ],
    }


def iso_time(microseconds: np.int64) -> str:
    return f"{np.datetime64(int(microseconds), 'us').astype('datetime64[s]')}Z"


def _warnings(series: Series) -> list[str]:
    found = []
    for name, values in zip(series.columns.names, series.values.T, strict=True):
        if (values == values[0]).all():
            found.append(f"column {name} is constant: it tells nothing.")
    body = np.stack([series.of("open"), series.of("close")])
    crossed = (series.of("low") > body.min(axis=0)) | (series.of("high") < body.max(axis=0))
    if crossed.any():
        row = int(crossed.argmax())
        found.append(
            f"in {int(crossed.sum())} rows open or close lies outside of low to high, first in "
            f"row {row + 1} after the header."
        )
    same = (np.diff(series.values, axis=0) == 0).all(axis=1)
    if same.any():
        row = int(same.argmax()) + 2
        found.append(
            f"{int(same.sum())} rows repeat the one before them but for the time, first row {row} "
            "after the header."
        )
    return found
