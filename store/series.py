"""Reading metrics and evaluations so that a resumed job never shows a step twice.

An attempt that resumed from step s supersedes what earlier attempts wrote beyond s. Nothing is
deleted: a point of attempt a counts while its step is at most the smallest start of any later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session

from store.artifacts import NO_ATTEMPT
from store.tables import Attempt, Evaluation, Event, Job, MetricKey, MetricPoint

_FLAGS = {1: "NaN", 2: "Infinity", 3: "-Infinity"}


def attempt_ceilings(session: Session, job_number: int) -> dict[int, float]:
    """For each attempt, the last step up to which its numbers still count."""
    started = exists().where(
        Event.job_number == job_number, Event.attempt == Attempt.number, Event.type == "attempt"
    )
    of_another_job = select(Job.init_checkpoint_id).where(Job.number == job_number)
    fresh_start = and_(
        Attempt.start_step == 0,
        or_(
            Attempt.resumed_from.is_(None),
            Attempt.resumed_from == of_another_job.scalar_subquery(),
        ),
        started,
    )
    query = (
        select(Attempt.number, Attempt.start_step, fresh_start)
        .where(Attempt.job_number == job_number)
        .order_by(Attempt.number.desc())
    )
    ceilings: dict[int, float] = {}
    lowest_later_start = float("inf")
    for number, start_step, fresh in session.execute(query):
        ceilings[number] = lowest_later_start
        # A fresh start supersedes everything, what was measured at step 0 included. An attempt
        # that has been claimed and not yet started stands where the last one ended: it
        # supersedes nothing, also when it died before it started.
        first_own = -1 if fresh else start_step
        lowest_later_start = min(lowest_later_start, first_own)
    ceilings[NO_ATTEMPT] = lowest_later_start  # what was imported came before them all
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
    # EXISTS is one look into the index for each key; DISTINCT would read every point of the job.
    used = exists().where(MetricPoint.job_number == job.number, MetricPoint.key_id == MetricKey.id)
    query = select(MetricKey.name).where(used).order_by(MetricKey.name)
    return list(session.scalars(query))


def read_series(
    session: Session, job: Job, key: str, *, after_step: int = -1, max_points: int = 500
) -> Series:
    """Thinned to `max_points` (2 at least) by keeping each bucket's lowest and highest finite
    value, so that spikes stay, and its first non-finite one."""
    ceilings = attempt_ceilings(session, job.number)
    query = (
        select(MetricPoint.step, MetricPoint.attempt, MetricPoint.value, MetricPoint.flag)
        .join(MetricKey, MetricKey.id == MetricPoint.key_id)
        .where(
            MetricPoint.job_number == job.number,
            MetricKey.name == key.replace("\x00", ""),  # which PostgreSQL cannot look for
            MetricPoint.step > after_step,
        )
        .order_by(MetricPoint.step, MetricPoint.attempt)
    )
    points: list[tuple[int, float | str]] = [
        (step, _FLAGS[flag] if value is None else value)
        for step, attempt, value, flag in session.execute(query)
        if step <= ceilings.get(attempt, -1)  # an attempt without a row does not count
    ]
    return Series(key=key, points=thin(points, max_points))


def thin(
    points: Sequence[tuple[int, float | str]], max_points: int
) -> Sequence[tuple[int, float | str]]:
    if len(points) <= max_points:
        return points
    values = np.array([v if isinstance(v, float | int) else np.nan for _, v in points])
    finite = np.isfinite(values)
    kept = {0, len(points) - 1}
    bucket_count = (max_points - len(kept)) // (2 if finite.all() else 3)
    for bucket in np.array_split(np.arange(len(points)), bucket_count) if bucket_count else []:
        inside, outside = bucket[finite[bucket]], bucket[~finite[bucket]]
        if inside.size:
            kept |= {int(inside[values[inside].argmin()]), int(inside[values[inside].argmax()])}
        if outside.size:
            kept.add(int(outside[0]))
    return [points[index] for index in sorted(kept)]
