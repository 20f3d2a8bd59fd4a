"""Deleting jobs: first a mark that can be taken back, then, days later, the rows themselves.

Folders of a purged job are what `store.garbage` collects: no row names them.
"""

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.clock import now_ms, to_ms
from store.database import Database
from store.errors import NotFound, Pinned, TransitionRefused
from store.events import append_event
from store.ids import require_storable
from store.pins import jobs_waiting_for
from store.settings import Settings
from store.states import TERMINAL
from store.tables import (
    Attempt,
    Checkpoint,
    Evaluation,
    Event,
    IdempotencyRecord,
    Job,
    JobDataset,
    JobGroup,
    MetricPoint,
    Policy,
)
from store.uses import require_unused

# Of the jobs that forbid it, in the message.
NAMED = 5
# A round takes no longer than a heartbeat's worth of patience.
PURGED_AT_ONCE = 20
# Those that refer to others first.
_PARTS = (Evaluation, Checkpoint, MetricPoint, Event, Attempt, IdempotencyRecord, JobDataset)


def delete_job(database: Database, job_id: str, *, with_policies: bool = False) -> Job:
    """Hides a job that has ended; nothing of it is lost before `purge_deleted`.

    Raises `TransitionRefused` while it may still run, and `Pinned` while another job has yet to
    begin with a checkpoint of it, or policies are served from it, unless these are to go too, at
    once and for good.
    """
    with database.write() as session:
        job = _locked(session, job_id, Job.deleted_at.is_(None))
        if job.status not in TERMINAL:
            raise TransitionRefused(
                f"Job {job.id} is {job.status}; delete is for jobs that have ended. "
                "Cancel it first.",
                param="job_id",
                phase=job.status,
            )
        if with_policies:
            _delete_policies(session, job)
        _refuse_if_pinned(session, job)
        _refuse_if_awaited(session, job)
        _set_mark(session, job, now_ms())
        append_event(session, job.number, "deleted", {}, attempt=job.epoch)
        session.refresh(job)
        return job


def restore_job(database: Database, job_id: str) -> Job:
    """Takes the mark away. `NotFound` for a job without one, and for one that is purged."""
    with database.write() as session:
        job = _locked(session, job_id, Job.deleted_at.is_not(None))
        _set_mark(session, job, None)
        append_event(session, job.number, "restored", {}, attempt=job.epoch)
        session.refresh(job)
        return job


def purge_deleted(database: Database, settings: Settings) -> list[str]:
    """Removes for good what was marked long enough ago. Returns the jobs' ids."""
    query = (
        select(Job.number)
        .where(Job.deleted_at < now_ms() - to_ms(settings.deleted_kept_seconds))
        .order_by(Job.number)
        .limit(PURGED_AT_ONCE)
    )
    with database.read() as session:
        due = session.scalars(query).all()
    return [job_id for number in due if (job_id := _purge(database, number)) is not None]


def _locked(session: Session, job_id: str, which: ColumnElement[bool]) -> Job:
    require_storable("job", job_id)
    query = select(Job).where(Job.id == job_id, which).with_for_update()
    job = session.scalars(query).one_or_none()
    if job is None:
        raise NotFound("job", job_id)
    return job


def _delete_policies(session: Session, job: Job) -> None:
    policies = session.scalars(select(Policy).where(Policy.job_number == job.number)).all()
    require_unused(session, policies, param="with_policies")
    session.execute(delete(Policy).where(Policy.job_number == job.number))


def _refuse_if_pinned(session: Session, job: Job) -> None:
    query = select(Policy).where(Policy.job_number == job.number).order_by(Policy.id)
    pinning = [f"{policy.name}:{policy.version}" for policy in session.scalars(query)]
    if pinning:
        raise Pinned(
            f"Job {job.id} is what {', '.join(pinning)} "
            f"{'was' if len(pinning) == 1 else 'were'} promoted from. Delete them first, or with "
            "with_policies=true.",
            param="job_id",
            policies=pinning,
        )


def _refuse_if_awaited(session: Session, job: Job) -> None:
    if waiting := jobs_waiting_for(session, job.number):
        raise Pinned(
            f"{', '.join(waiting[:NAMED])} {'has' if len(waiting) == 1 else 'have'} yet to begin "
            f"with a checkpoint of job {job.id} (init_from). Wait for a first checkpoint of "
            f"{'it' if len(waiting) == 1 else 'each'}, or cancel first.",
            param="job_id",
            jobs=waiting,
        )


def _set_mark(session: Session, job: Job, at: ColumnElement[int] | None) -> None:
    session.execute(update(Job).where(Job.number == job.number).values(deleted_at=at))


def _purge(database: Database, number: int) -> str | None:
    """None if it was restored, or pinned, in the meantime: by a retry of another job, too."""
    try:
        with database.write() as session:
            query = select(Job).where(Job.number == number, Job.deleted_at.is_not(None))
            job = session.scalars(query.with_for_update()).one_or_none()
            if job is None or jobs_waiting_for(session, job.number):
                return None
            for part in _PARTS:
                session.execute(delete(part).where(part.job_number == number))
            group = job.group_number
            session.execute(delete(Job).where(Job.number == number))
            if group is not None:
                _remove_if_empty(session, group)
            return job.id
    except IntegrityError:  # a policy's foreign key: promoted since
        return None


def _remove_if_empty(session: Session, group: int) -> None:
    members = select(func.count()).select_from(Job).where(Job.group_number == group)
    if session.execute(members).scalar_one() == 0:
        session.execute(delete(JobGroup).where(JobGroup.number == group))
