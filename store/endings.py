"""How an attempt ends: finished, handed back, given up, or taken from an owner that is gone.

Each is one transaction under the guard of `store.ownership`: an attempt that has lost its job
changes nothing and gets `Fenced`.
"""

from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from store.clock import now_ms, to_ms
from store.database import Database
from store.events import append_event
from store.failures import RETRIES, Retry
from store.last_checkpoint import with_last_checkpoint
from store.ownership import Claim, update_owned
from store.settings import Settings
from store.states import TERMINAL, AttemptStatus, Desired, JobStatus, Reason
from store.tables import Attempt, Job

MAX_BACKOFF_SECONDS = 300
# A checkpoint of this attempt may have set it to 0 already.
_UNCHARGED = case((Job.attempts_since_progress > 0, Job.attempts_since_progress - 1), else_=0)


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
        **({"error_failures": Job.error_failures + 1} if status == JobStatus.FAILED else {}),
    )
    _close_attempt(session, job, AttemptStatus(status.value), reason, message, exit_code)
    data = {"status": status, "reason": reason, "message": message}
    append_event(session, job.number, "status", data, attempt=claim.epoch)


def hand_back(database: Database, claim: Claim, reason: Reason) -> None:
    """The trainer was stopped, not the job: what the user wants at this moment decides.

    Cancelled, paused, or next in line again for `reason`. The attempt is not charged.
    """
    with database.write() as session:
        job = update_owned(session, claim)
        match Desired(job.desired):
            case Desired.CANCEL:
                status, reason = JobStatus.CANCELLED, Reason.CANCELLED_BY_USER
                finish_in(session, claim, status, reason)
                return
            case Desired.PAUSE:
                status, reason, ended = (
                    JobStatus.PAUSED,
                    Reason.PAUSED_BY_USER,
                    AttemptStatus.PAUSED,
                )
            case Desired.RUN:
                status, ended = JobStatus.QUEUED, AttemptStatus.RELEASED
        _let_go(session, job, status, reason)
        _close_attempt(session, job, ended, reason, None, None)
        data = {"status": status, "reason": reason}
        append_event(session, job.number, "status", data, attempt=claim.epoch)


def _let_go(session: Session, job: Job, status: JobStatus, reason: Reason) -> None:
    session.execute(
        update(Job)
        .where(Job.number == job.number)
        .values(
            status=status,
            reason=reason,
            desired=Desired.RUN,
            lease_until=0,
            dispatched_at=0,
            not_before=0,
            attempts_since_progress=_UNCHARGED,
        )
        .execution_options(synchronize_session=False)
    )


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
            _requeue_or_fail(
                session, settings, job, Reason.WORKER_LOST, message, None, ended_at=job.lease_until
            )
        return len(expired)


def _requeue_or_fail(
    session: Session,
    settings: Settings,
    job: Job,
    reason: Reason,
    message: str | None,
    exit_code: int | None,
    log: str | None = None,
    *,
    ended_at: int | None = None,
) -> None:
    """The epoch is not raised here: leaving `running` already fences the old owner."""
    message = with_last_checkpoint(session, job, _storable(message), _storable(log))
    values, message = _after_failure(session, settings, job, reason, message)
    ended = values["status"] in TERMINAL
    session.execute(
        update(Job)
        .where(Job.number == job.number)
        .values(
            message=message,
            lease_until=0,
            worker=None,
            finished_at=now_ms() if ended else None,
            infrastructure_failures=Job.infrastructure_failures + 1,
            **values,
        )
        .execution_options(synchronize_session=False)
    )
    lost = AttemptStatus.LOST
    _close_attempt(session, job, lost, reason, message, exit_code, ended_at=ended_at)
    data = {
        "status": values["status"],
        "reason": values["reason"],
        "message": message,
        "exit_code": exit_code,
    }
    append_event(session, job.number, "status", data, attempt=job.epoch)


def _after_failure(
    session: Session, settings: Settings, job: Job, reason: Reason, message: str
) -> tuple[dict[str, Any], str]:
    """Of the job's row: where it stands next; and what to say of it."""
    failed = {"status": JobStatus.FAILED, "reason": reason}
    retry = RETRIES[reason]
    if job.desired == Desired.CANCEL:
        values = {"status": JobStatus.CANCELLED, "reason": Reason.CANCELLED_BY_USER}
        return values, message
    if retry is Retry.ONCE and _happened_before(session, job, reason):
        return failed, f"For the second time: {message}"
    uncharged = retry is Retry.AFTER_A_WAIT
    if not uncharged and job.attempts_since_progress >= settings.max_attempts_without_progress:
        told = (
            f"{job.attempts_since_progress} attempts ended without a newer checkpoint; "
            f"the last one: {reason}. {message}"
        )
        return {**failed, "reason": Reason.CRASH_LOOP}, told.strip()
    if job.desired == Desired.PAUSE:
        status, why = JobStatus.PAUSED, Reason.PAUSED_BY_USER
        return {"status": status, "reason": why, "desired": Desired.RUN}, message
    seconds = _backoff(settings, job.attempts_since_progress)
    queued = {"status": JobStatus.QUEUED, "reason": reason, "dispatched_at": 0}
    if uncharged:
        seconds = settings.storage_wait_seconds
        queued["attempts_since_progress"] = _UNCHARGED
    return {**queued, "not_before": now_ms() + to_ms(seconds)}, message


def _happened_before(session: Session, job: Job, reason: Reason) -> bool:
    query = select(func.count()).where(
        Attempt.job_number == job.number,
        Attempt.number > job.clock_after_attempt,
        Attempt.number < job.epoch,
        Attempt.reason == reason,
    )
    return session.execute(query).scalar_one() > 0


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
    *,
    ended_at: int | None = None,
) -> None:
    """`ended_at`: None for now. An owner that is gone ended with its lease, not when that was
    noticed: this service may have been down for hours itself."""
    began = Attempt.started_at
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
            finished_at=now_ms()
            if ended_at is None
            else case((began > ended_at, began), else_=ended_at),
        )
    )
