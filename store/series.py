"""Reading metrics and evaluations so that a resumed job never shows a step twice.

An attempt that resumed from step s supersedes what earlier attempts wrote beyond s. Nothing is
deleted: a point of attempt a counts while its step is at most the smallest start of any later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from store.tables import Attempt, Evaluation, Job, MetricKey, MetricPoint

_FLAGS = {1: "NaN", 2: "Infinity", 3: "-Infinity"}


def attempt_ceilings(session: Session, job_number: int) -> dict[int, float]:
    """For each attempt, the last step up to which its numbers still count."""
    query = (
        select(Attempt.number, Attempt.start_step, Attempt.resumed_from)
        .where(Attempt.job_number == job_number)
        .order_by(Attempt.number.desc())
    )
    ceilings: dict[int, float] = {}
    lowest_later_start = float("inf")
    for number, start_step, resumed_from in session.execute(query):
        ceilings[number] = lowest_later_start
        # A fresh start supersedes everything, what was measured at step 0 included.
        first_own = start_step if resumed_from is not None else -1
        lowest_later_start = min(lowest_later_start, first_own)
    return ceilings


def effective_evaluations(session: Session, job: Job) -> list[Evaluation]:
    """In order of step."""
    ceilings = attempt_ceilings(session, job.number)
    query = (
        select(Evaluation)
        .where(Evaluation.job_number == job.number)
        .order_by(Evaluation.step, Evaluation.attempt)
    )
    return [e for e in session.scalars(query) if e.step <= ceilings[e.attempt]]


@dataclass(frozen=True, kw_only=True)
class Series:
    key: str
    points: Sequence[tuple[int, float | str]]  # (step, value); "NaN", "Infinity" as text


def metric_names(session: Session, job: Job) -> list[str]:
    used = select(MetricPoint.key_id).where(MetricPoint.job_number == job.number).distinct()
    query = select(MetricKey.name).where(MetricKey.id.in_(used)).order_by(MetricKey.name)
    return list(session.scalars(query))


def read_series(
    session: Session, job: Job, key: str, *, after_step: int = -1, max_points: int = 500
) -> Series:
    """Thinned to `max_points` by keeping each bucket's lowest and highest, so that spikes stay."""
    ceilings = attempt_ceilings(session, job.number)
    query = (
        select(MetricPoint.step, MetricPoint.attempt, MetricPoint.value, MetricPoint.flag)
        .join(MetricKey, MetricKey.id == MetricPoint.key_id)
        .where(
            MetricPoint.job_number == job.number,
            MetricKey.name == key,
            MetricPoint.step > after_step,
        )
        .order_by(MetricPoint.step, MetricPoint.attempt)
    )
    points: list[tuple[int, float | str]] = [
        (step, _FLAGS[flag] if value is None else value)
        for step, attempt, value, flag in session.execute(query)
        if step <= ceilings[attempt]
    ]
    return Series(key=key, points=thin(points, max_points))


def thin(
    points: Sequence[tuple[int, float | str]], max_points: int
) -> Sequence[tuple[int, float | str]]:
    if len(points) <= max_points:
        return points
    values = np.array([v if isinstance(v, float | int) else np.nan for _, v in points])
    buckets = np.array_split(np.arange(len(points)), max(1, max_points // 2 - 1))
    kept = {0, len(points) - 1}
    for bucket in buckets:
        finite = bucket[np.isfinite(values[bucket])]
        if finite.size == 0:
            kept.add(int(bucket[0]))  # a stretch of NaN must stay visible
            continue
        kept.add(int(finite[values[finite].argmin()]))
        kept.add(int(finite[values[finite].argmax()]))
    return [points[index] for index in sorted(kept)]
