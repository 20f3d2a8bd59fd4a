"""What must hold in the database at any moment, whatever was killed: I1 to I7 of
docs/reference/jobs.md. `mrq doctor` and the kill campaign ask the same questions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from store.clock import now_ms, to_ms
from store.database import Database
from store.pins import waits_for_its_source
from store.series import read_series
from store.settings import Settings
from store.spec import log_every_steps
from store.states import TERMINAL, AttemptStatus, CheckpointKind, JobStatus, Reason
from store.tables import Attempt, Checkpoint, Evaluation, Event, Job, MetricPoint

BY_A_USER = frozenset({Reason.RETRIED_BY_USER, Reason.EXTENDED_BY_USER})
# In every report of a trainer, so that a step that is missing shows.
REPORTED_ALWAYS = "reward_scale"
# Two clocks' worth of patience with a process that does its round right now.
SLACK_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    invariant: str
    job_id: str
    text: str
    advice: str


Check = Callable[[Session, Settings], Iterator[Finding]]


def broken_invariants(database: Database, settings: Settings) -> list[Finding]:
    """All that does not hold, seen at one moment."""
    with database.read() as session:
        return [finding for check in CHECKS for finding in check(session, settings)]


def _terminal_states_stay(session: Session, _: Settings) -> Iterator[Finding]:
    query = (
        select(Job.id, Event.data)
        .join(Job, Job.number == Event.job_number)
        .where(Event.type == "status")
        .order_by(Event.job_number, Event.seq)
    )
    for job_id, entries in groupby(session.execute(query), key=lambda row: row[0]):
        for earlier, later in pairwise(data for _, data in entries):
            if earlier["status"] in TERMINAL and later.get("reason") not in BY_A_USER:
                yield Finding(
                    invariant="I1",
                    job_id=job_id,
                    text=f"it was {earlier['status']} and became {later['status']}",
                    advice="a defect of this service: please report it with the job's events",
                )


def _epochs_only_grow(session: Session, _: Settings) -> Iterator[Finding]:
    attempts = (
        select(Attempt.job_number, func.count().label("n"), func.max(Attempt.number).label("last"))
        .group_by(Attempt.job_number)
        .subquery()
    )
    query = (
        select(Job.id, Job.epoch, func.coalesce(attempts.c.n, 0), func.coalesce(attempts.c.last, 0))
        .outerjoin(attempts, attempts.c.job_number == Job.number)
        .where(
            or_(
                Job.epoch != func.coalesce(attempts.c.n, 0),
                Job.epoch != func.coalesce(attempts.c.last, 0),
            )
        )
    )
    for job_id, epoch, count, last in session.execute(query):
        yield Finding(
            invariant="I2",
            job_id=job_id,
            text=f"its epoch is {epoch}, and it has {count} attempts up to number {last}",
            advice="the database was changed by hand, or restored from a backup in parts",
        )


def _live_attempts_are_owners(session: Session, _: Settings) -> Iterator[Finding]:
    owner = and_(Job.status == JobStatus.RUNNING, Attempt.number == Job.epoch)
    query = (
        select(Job.id, Attempt.number, Attempt.status)
        .join(Job, Job.number == Attempt.job_number)
        .where((Attempt.status == AttemptStatus.RUNNING) != owner)
    )
    for job_id, number, status in session.execute(query):
        yield Finding(
            invariant="I3",
            job_id=job_id,
            text=f"attempt {number} is {status}, which does not agree with the job",
            advice="a defect of this service: please report it with the job's attempts",
        )


def _stale_writes_to(table: Any, at: Any) -> Select[Any]:
    later = aliased(Attempt)
    too_late = exists().where(
        later.job_number == table.job_number,
        later.number > table.attempt,
        later.started_at < at,
    )
    return (
        select(Job.id, table.attempt, func.count())
        .join(Job, Job.number == table.job_number)
        .where(or_(too_late, table.attempt > Job.epoch))
        .group_by(Job.id, table.attempt)
    )


# Built once: to build them takes longer than to ask them of a small database.
_STALE_WRITES: Mapping[str, Select[Any]] = {
    "a checkpoint": _stale_writes_to(Checkpoint, Checkpoint.created_at),
    "an evaluation": _stale_writes_to(Evaluation, Evaluation.created_at),
    "a metric": _stale_writes_to(MetricPoint, MetricPoint.at),
    "an event": _stale_writes_to(Event, Event.at),
}


def _no_stale_writes(session: Session, _: Settings) -> Iterator[Finding]:
    """Nothing of an attempt was written after the next one had begun, or by one never begun."""
    for what, query in _STALE_WRITES.items():
        for job_id, attempt, count in session.execute(query):
            yield Finding(
                invariant="I3",
                job_id=job_id,
                text=f"{count} times {what} of attempt {attempt} after it had lost the job",
                advice="a defect of this service: please report it with the job's attempts",
            )


def _checkpoints_are_there(session: Session, _: Settings) -> Iterator[Finding]:
    there = exists().where(
        Checkpoint.id == Job.resume_checkpoint_id,
        Checkpoint.job_number == Job.number,
        Checkpoint.kind == CheckpointKind.TRAINING,
    )
    query = select(Job.id, Job.resume_checkpoint_id).where(
        Job.resume_checkpoint_id.is_not(None), ~there
    )
    for job_id, checkpoint in session.execute(query):
        yield Finding(
            invariant="I4",
            job_id=job_id,
            text=f"it would resume from {checkpoint}, which is not there",
            advice="retry it: it goes on from the newest one that is",
        )


def _sources_are_there(session: Session, _: Settings) -> Iterator[Finding]:
    there = exists().where(
        Checkpoint.id == Job.init_checkpoint_id, Checkpoint.kind == CheckpointKind.TRAINING
    )
    query = select(Job.id, Job.init_checkpoint_id).where(waits_for_its_source(), ~there)
    for job_id, checkpoint in session.execute(query):
        yield Finding(
            invariant="I4",
            job_id=job_id,
            text=f"it would begin with {checkpoint}, which is not there",
            advice="clone it with another init_from; it will fail as source_gone",
        )


def _curves_have_no_gaps(session: Session, _: Settings) -> Iterator[Finding]:
    """A step that is there twice is refused by the table's own key. An imported job's curve begins
    where its first attempt did."""
    first = select(Attempt.job_number, Attempt.start_step).where(Attempt.number == 1)
    begins: dict[int, int] = dict(session.execute(first).all())
    for job in session.scalars(select(Job).where(Job.epoch > 0)):
        every = log_every_steps(job.total_steps)
        series = read_series(session, job, REPORTED_ALWAYS, max_points=1_000_000)
        steps = [begins.get(job.number, 0), *(step for step, _ in series.points)]
        if job.status == JobStatus.SUCCEEDED:
            steps.append(job.step)
        gaps = [(a, b) for a, b in pairwise(steps) if b - a > every]
        if len(series.points) and gaps:
            yield Finding(
                invariant="I5",
                job_id=job.id,
                text=f"no metrics between the steps {gaps[0][0]} and {gaps[0][1]}, "
                f"where every {every} steps has some",
                advice="a defect of this service: please report it with the job's attempts",
            )


def _waiting_jobs_are_rung_for(session: Session, settings: Settings) -> Iterator[Finding]:
    """A job that comes back to the queue has never been rung for, and waits only since then."""
    patience = to_ms(settings.ring_again_seconds + SLACK_SECONDS)
    queued_at = (
        select(func.max(Event.at))
        .where(Event.job_number == Job.number, Event.type == "status")
        .scalar_subquery()
    )
    query = select(Job.id, now_ms() - Job.dispatched_at, Job.dispatched_at).where(
        Job.status == JobStatus.QUEUED,
        Job.not_before < now_ms() - to_ms(SLACK_SECONDS),
        queued_at < now_ms() - patience,
        Job.dispatched_at < now_ms() - patience,
    )
    for job_id, since, dispatched in session.execute(query):
        told = "never" if dispatched == 0 else f"{since / 1000:.0f} s ago"
        yield Finding(
            invariant="I6",
            job_id=job_id,
            text=f"it waits, and the last bell for it was rung {told}",
            advice="see that worker.reconciler runs and that it reaches the broker",
        )


def _running_jobs_are_alive(session: Session, settings: Settings) -> Iterator[Finding]:
    patience = to_ms(settings.reap_seconds + SLACK_SECONDS)
    query = select(Job.id, Job.worker, now_ms() - Job.lease_until).where(
        Job.status == JobStatus.RUNNING, Job.lease_until < now_ms() - patience
    )
    for job_id, worker, since in session.execute(query):
        yield Finding(
            invariant="I7",
            job_id=job_id,
            text=f"the lease of {worker} ran out {since / 1000:.0f} s ago, and nobody took the job",
            advice="see that worker.reconciler runs",
        )


CHECKS: tuple[Check, ...] = (
    _terminal_states_stay,
    _epochs_only_grow,
    _live_attempts_are_owners,
    _no_stale_writes,
    _checkpoints_are_there,
    _sources_are_there,
    _curves_have_no_gaps,
    _waiting_jobs_are_rung_for,
    _running_jobs_are_alive,
)
