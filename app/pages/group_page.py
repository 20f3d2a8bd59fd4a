"""What the page of a group shows, read in one session."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.group_views import group_view
from app.pages.drawing import LEFT, RIGHT, Tick, points, scale, step_ticks, value_scale, value_ticks
from app.pages.formats import count, number, plural
from store.bootstrap import Aggregate
from store.groups import jobs_of
from store.summary import CurvePoint, Summary, summarise
from store.tables import JobGroup


@dataclass(frozen=True, kw_only=True)
class BandDrawing:
    """In pixels of the view box, as `app.pages.drawing`."""

    band: str
    mean: str
    dots: Sequence[tuple[float, float]]
    steps: Sequence[Tick]
    returns: Sequence[Tick]


def read_group(session: Session, group: JobGroup) -> dict[str, Any]:
    jobs = jobs_of(session, group)
    summary = summarise(session, jobs)
    return {
        "group": group_view(session, group),
        "now": datetime.now(UTC),
        "summary": summary,
        "statistics": _statistics(summary),
        "drawing": _draw(_measured(summary.curve), max(job.total_steps for job in jobs)),
        "told": _told(summary, len(jobs)),
    }


def _statistics(summary: Summary) -> list[tuple[str, str, Aggregate]]:
    rows = [
        ("Last evaluation", "what papers report", summary.last),
        ("Best evaluation", "chance flatters it", summary.best),
    ]
    return [(name, remark, found) for name, remark, found in rows if found is not None]


def _measured(curve: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Those that have a place on an axis: one infinite or NaN return makes the whole point so."""
    return [p for p in curve if all(map(math.isfinite, (p.iqm.value, _low(p), _high(p))))]


def _draw(curve: Sequence[CurvePoint], total_steps: int) -> BandDrawing | None:
    if not curve:
        return None
    lows = [_low(point) for point in curve]
    highs = [_high(point) for point in curve]
    low, high = min(lows), max(highs)
    if low == high:
        low, high = low - 1, high + 1
    x, y = scale(0, total_steps, LEFT, RIGHT), value_scale(low, high)
    dots = [(x(point.step), y(point.iqm.value)) for point in curve]
    upper = [(x(point.step), y(value)) for point, value in zip(curve, highs, strict=True)]
    lower = [(x(point.step), y(value)) for point, value in zip(curve, lows, strict=True)]
    return BandDrawing(
        band=points([*upper, *reversed(lower)]),
        mean=points(dots),
        dots=dots,
        steps=step_ticks(total_steps),
        returns=value_ticks(low, high),
    )


def _low(point: CurvePoint) -> float:
    return point.iqm.value if point.iqm.low is None else point.iqm.low


def _high(point: CurvePoint) -> float:
    return point.iqm.value if point.iqm.high is None else point.iqm.high


def _told(summary: Summary, jobs: int) -> str:
    """The figures for those who do not see the curve, and what they leave out."""
    missing = " and ".join(f"{n} {status}" for status, n in sorted(summary.missing.items()))
    left_out = f" Not in it: {missing}." if missing else ""
    if summary.last is None:
        return f"No result yet: of {plural(jobs, 'job')} none has succeeded.{left_out}"
    iqm = summary.last.iqm
    interval = (
        "" if iqm.low is None else f" (95 % interval {number(iqm.low)} to {number(iqm.high)})"
    )
    return (
        f"Interquartile mean of the last evaluations of {count(summary.last.n)} of "
        f"{plural(jobs, 'job')}: {number(iqm.value)}{interval}.{left_out}"
    )
