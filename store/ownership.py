"""Who may write for a job: claim, renew, finish, release, reap. Each is one guarded transaction.

The epoch is the fencing token. A claim raises it; every later write names it and must find the row
`running` under that very epoch, or it changes nothing and raises `Fenced`. Leases compare the
database's clock only. Protocol and measurements: docs/decisions/ownership.md.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, literal_column, select, update
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.database import Database
from store.errors import Fenced
from store.events import append_event
from store.last_checkpoint import with_last_checkpoint
from store.settings import Settings
from store.states import AttemptStatus, CheckpointKind, JobStatus, Reason
from store.tables import Attempt, Checkpoint, Job

MAX_BACKOFF_SECONDS = 300
# Spelt out: a database cannot know that a parameter's value fits the index's WHERE.
_QUEUED_IN_INDEX: ColumnElement[str] = literal_column("'queued'")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What an attempt may do and where it starts. `epoch` is also the attempt's number."""

    job_number: int
    job_id: str
    epoch: int
    spec: dict[str, Any]


def owned(claim: Claim) -> ColumnElement[bool]:
    """The guard of every write: still running, still ours."""
    return (
        (Job.number == claim.job_number)
        & (Job.epoch == claim.epoch)
        & (Job.status == JobStatus.RUNNING)
    )


def update_owned(session: Session, claim: Claim, **values: Any) -> Job:
    """Changes the job's row under the guard and returns it, locked until the transaction ends.

    Without values it only looks and locks.
    """
    changed = session.scalars(
        update(Job)
        .where(owned(claim))
        .values(**(values or {"epoch": claim.epoch}))
        .returning(Job)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if changed is None:
        raise Fenced(f"job {claim.job_id} no longer belongs to epoch {claim.epoch}")
    return changed


def claim_next(database: Database, settings: Settings, worker: str, host: str) -> Claim | None:
    """Takes the queued job that comes first by priority, then by order of submission."""
    with database.write() as session:
        job = _take_first(session, settings, worker, skip_locked=True)
        if job is None:
            # The only job left may be locked for a moment by one who does not claim it, such as
            # `mark_rung`. Its bell is being answered here: without a second look it would wait
            # for the next one.
            job = _take_first(session, settings, worker, skip_locked=False)
        if job is None:
            return None
        session.add(
            Attempt(
                job_number=job.number,
                number=job.epoch,
                status=AttemptStatus.RUNNING,
                worker=worker,
                host=host,
                start_step=job.step,
                started_at=session.execute(select(now_ms())).scalar_one(),
            )
        )
        data = {"status": JobStatus.RUNNING, "attempt": job.epoch, "worker": worker}
        append_event(session, job.number, "status", data, attempt=job.epoch)
        return Claim(job_number=job.number, job_id=job.id, epoch=job.epoch, spec=job.spec)


def _take_first(
    session: Session, settings: Settings, worker: str, *, skip_locked: bool
) -> Job | None:
    candidate = (
        select(Job.number)
        .where(Job.status == _QUEUED_IN_INDEX, Job.not_before <= now_ms())
        .order_by(Job.priority.desc(), Job.number)
        .limit(1)
        .with_for_update(skip_locked=skip_locked)
    )
    return session.scalars(
        update(Job)
        .where(Job.number == candidate.scalar_subquery(), Job.status == JobStatus.QUEUED)
        .values(
            status=JobStatus.RUNNING,
            reason=None,
            message=None,
            epoch=Job.epoch + 1,
            lease_until=now_ms() + _ms(settings.lease_seconds),
            worker=worker,
            attempts_since_progress=Job.attempts_since_progress + 1,
            started_at=func.coalesce(Job.started_at, now_ms()),
        )
        .returning(Job)
    ).one_or_none()


def start_from(database: Database, claim: Claim, checkpoint: Checkpoint | None) -> None:
    """Says where this attempt starts. What earlier attempts wrote beyond it is superseded.

    Training checkpoints beyond it go: they belong to a branch that is given up, and must not
    count among those kept. Their folders are swept by who owns the artifact folder.
    """
    step = 0 if checkpoint is None else checkpoint.step
    identity = None if checkpoint is None else checkpoint.id
    with database.write() as session:
        update_owned(
            session, claim, step=step, resume_checkpoint_id=identity, steps_per_second=None
        )
        session.execute(
            update(Attempt)
            .where(Attempt.job_number == claim.job_number, Attempt.number == claim.epoch)
            .values(start_step=step, resumed_from=identity)
        )
        session.execute(delete(Checkpoint).where(_training_of(claim), Checkpoint.step > step))
        data = {"attempt": claim.epoch, "start_step": step, "resumed_from": identity}
        append_event(session, claim.job_number, "attempt", data, attempt=claim.epoch)


def resumable_checkpoints(session: Session, claim: Claim) -> list[Checkpoint]:
    """Newest first; the caller falls back to the next one when a hash does not match."""
    query = (
        select(Checkpoint)
        .where(_training_of(claim))
        .order_by(Checkpoint.attempt.desc(), Checkpoint.step.desc())
    )
    return list(session.scalars(query))


def _training_of(claim: Claim) -> ColumnElement[bool]:
    return (Checkpoint.job_number == claim.job_number) & (
        Checkpoint.kind == CheckpointKind.TRAINING
    )


def renew(database: Database, settings: Settings, claim: Claim) -> bool:
    """Extends the lease. Returns whether the user has asked to cancel."""
    with database.write() as session:
        lease = now_ms() + _ms(settings.lease_seconds)
        return update_owned(session, claim, lease_until=lease).cancel_requested


def finish(
    database: Database,
    claim: Claim,
    status: JobStatus,
    reason: Reason,
    *,
    message: str | None = None,
    exit_code: int | None = None,
    weights_sha256: str | None = None,
) -> None:
    """Ends the job for good. Terminal states never change: the guard sees to it."""
    with database.write() as session:
        finish_in(
            session,
            claim,
            status,
            reason,
            message=message,
            exit_code=exit_code,
            weights_sha256=weights_sha256,
        )


def finish_in(
    session: Session,
    claim: Claim,
    status: JobStatus,
    reason: Reason,
    *,
    message: str | None = None,
    exit_code: int | None = None,
    weights_sha256: str | None = None,
) -> None:
    message = _storable(message)
    if status == JobStatus.FAILED and reason != Reason.CHECKPOINT_CORRUPT:
        message = with_last_checkpoint(session, update_owned(session, claim), message)
    job = update_owned(
        session,
        claim,
        status=status,
        reason=reason,
        message=message,
        weights_sha256=weights_sha256,
        finished_at=now_ms(),
    )
    _close_attempt(session, job, AttemptStatus(status.value), reason, message, exit_code)
    data = {"status": status, "reason": reason, "message": message}
    append_event(session, job.number, "status", data, attempt=claim.epoch)


def release(database: Database, claim: Claim) -> None:
    """Hands the job back on shutdown: next in line again, and this attempt is not charged.

    A job that is being cancelled ends here: nobody needs to claim it once more for that.
    """
    with database.write() as session:
        job = update_owned(
            session,
            claim,
            status=JobStatus.QUEUED,
            reason=Reason.DRAINED,
            lease_until=0,
            dispatched_at=0,
            not_before=0,
            # A checkpoint of this attempt has set it to 0 already.
            attempts_since_progress=case(
                (Job.attempts_since_progress > 0, Job.attempts_since_progress - 1), else_=0
            ),
        )
        _close_attempt(session, job, AttemptStatus.RELEASED, Reason.DRAINED, None, None)
        data = {"status": JobStatus.QUEUED, "reason": Reason.DRAINED}
        if job.cancel_requested:
            data = {"status": JobStatus.CANCELLED, "reason": Reason.CANCELLED_BY_USER}
            still_queued = (Job.number == job.number) & (Job.status == JobStatus.QUEUED)
            session.execute(update(Job).where(still_queued).values(finished_at=now_ms(), **data))
        append_event(session, job.number, "status", data, attempt=claim.epoch)


def give_up_attempt(
    database: Database,
    settings: Settings,
    claim: Claim,
    reason: Reason,
    *,
    message: str | None,
    exit_code: int | None,
    log: str | None = None,
) -> None:
    """The attempt died, its supervisor lives: queue the job again, or end it in a crash loop."""
    with database.write() as session:
        job = update_owned(session, claim, worker=None)
        _requeue_or_fail(session, settings, job, reason, message, exit_code, log)


def reap_expired(database: Database, settings: Settings) -> int:
    """Takes jobs from owners whose lease has run out. Returns how many."""
    with database.write() as session:
        expired = session.scalars(
            select(Job)
            .where(Job.status == JobStatus.RUNNING, Job.lease_until < now_ms())
            .with_for_update(skip_locked=True)
        ).all()
        for job in expired:
            message = f"The lease of {job.worker} ran out: the worker died or was cut off."
            _requeue_or_fail(session, settings, job, Reason.WORKER_LOST, message, None)
        return len(expired)


def _requeue_or_fail(
    session: Session,
    settings: Settings,
    job: Job,
    reason: Reason,
    message: str | None,
    exit_code: int | None,
    log: str | None = None,
) -> None:
    """The epoch is not raised here: leaving `running` already fences the old owner."""
    message = with_last_checkpoint(session, job, _storable(message), _storable(log))
    values: dict[str, Any]
    if job.cancel_requested:
        values = {"status": JobStatus.CANCELLED, "reason": Reason.CANCELLED_BY_USER}
    elif job.attempts_since_progress >= settings.max_attempts_without_progress:
        message = (
            f"{job.attempts_since_progress} attempts ended without a newer checkpoint; "
            f"the last one: {reason}. {message or ''}"
        ).strip()
        values = {"status": JobStatus.FAILED, "reason": Reason.CRASH_LOOP}
    else:
        values = {
            "status": JobStatus.QUEUED,
            "reason": reason,
            "dispatched_at": 0,
            "not_before": now_ms() + _ms(_backoff(settings, job.attempts_since_progress)),
        }
    ended = values["status"] != JobStatus.QUEUED
    session.execute(
        update(Job)
        .where(Job.number == job.number)
        .values(
            message=message,
            lease_until=0,
            worker=None,
            finished_at=now_ms() if ended else None,
            **values,
        )
        .execution_options(synchronize_session=False)
    )
    _close_attempt(session, job, AttemptStatus.LOST, reason, message, exit_code)
    data = {
        "status": values["status"],
        "reason": values["reason"],
        "message": message,
        "exit_code": exit_code,
    }
    append_event(session, job.number, "status", data, attempt=job.epoch)


def _backoff(settings: Settings, failures: int) -> float:
    """`failures` is 0 for an attempt that died after it had made progress."""
    doublings = min(max(0, failures - 1), 30)
    return min(MAX_BACKOFF_SECONDS, settings.backoff_seconds * 2.0**doublings)


def _storable(message: str | None) -> str | None:
    """A message or a log may hold anything, and PostgreSQL takes no NUL in a text: without this
    the verdict could never be written."""
    return message and message.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _close_attempt(
    session: Session,
    job: Job,
    status: AttemptStatus,
    reason: Reason,
    message: str | None,
    exit_code: int | None,
) -> None:
    session.execute(
        update(Attempt)
        .where(
            Attempt.job_number == job.number,
            Attempt.number == job.epoch,
            Attempt.finished_at.is_(None),
        )
        .values(
            status=status,
            reason=reason,
            message=message,
            exit_code=exit_code,
            end_step=job.step,
            finished_at=now_ms(),
        )
    )


def jobs_to_ring(database: Database, settings: Settings, limit: int = 100) -> list[Job]:
    """Queued jobs that nobody was called for yet, or so long ago that the message may be lost."""
    with database.read() as session:
        stale = now_ms() - _ms(settings.ring_again_seconds)
        query = (
            select(Job)
            .where(
                Job.status == JobStatus.QUEUED,
                Job.not_before <= now_ms(),
                Job.dispatched_at < stale,
            )
            .order_by(Job.priority.desc(), Job.number)
            .limit(limit)
        )
        return list(session.scalars(query))


def count_queued(database: Database) -> int:
    with database.read() as session:
        query = select(func.count()).where(Job.status == JobStatus.QUEUED)
        return session.execute(query).scalar_one()


def mark_rung(database: Database, job: Job) -> None:
    with database.write() as session:
        session.execute(
            update(Job)
            .where(Job.number == job.number, Job.status == JobStatus.QUEUED)
            .values(dispatched_at=now_ms())
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
