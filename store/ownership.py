"""Who may write for a job: claim, start, renew. Each is one guarded transaction, as are the ends of
an attempt in `store.endings`.

The epoch is the fencing token. A claim raises it; every later write names it and must find the row
`running` under that very epoch, or it changes nothing and raises `Fenced`. Leases compare the
database's clock only. Protocol and measurements: docs/decisions/ownership.md.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from store.checkpoint_files import CheckpointFiles
from store.clock import now_ms, to_ms
from store.database import Database
from store.errors import Fenced
from store.events import append_event
from store.jobs import QUEUED_IN_INDEX
from store.pins import removable
from store.series import attempt_ceilings
from store.settings import Settings
from store.states import AttemptStatus, CheckpointKind, Desired, JobStatus
from store.tables import Attempt, Checkpoint, Job

OWNER_LABEL = "owner"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What an attempt may do and where it starts. `epoch` is also the attempt's number."""

    job_number: int
    job_id: str
    epoch: int
    spec: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user wants of a running attempt. `grace_seconds`: see `lifecycle.cancel_job`."""

    desired: Desired = Desired.RUN
    grace_seconds: float | None = None

    @classmethod
    def of(cls, job: Job) -> "Wish":
        return cls(desired=Desired(job.desired), grace_seconds=job.grace_seconds)


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
        if settings.max_running_per_owner:
            _count_alone(session)
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
                device=settings.device,
                start_step=job.step,
                started_at=session.execute(select(now_ms())).scalar_one(),
            )
        )
        data = {"status": JobStatus.RUNNING, "attempt": job.epoch, "worker": worker}
        append_event(session, job.number, "status", data, attempt=job.epoch)
        return Claim(job_number=job.number, job_id=job.id, epoch=job.epoch, spec=job.spec)


def _count_alone(session: Session) -> None:
    """Two claims at once would each not see the other's job. SQLite has one writer."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext("claim"))))


def _take_first(
    session: Session, settings: Settings, worker: str, *, skip_locked: bool
) -> Job | None:
    candidate = (
        select(Job.number)
        .where(
            Job.status == QUEUED_IN_INDEX,
            Job.not_before <= now_ms(),
            *_owner_has_room(settings.max_running_per_owner),
        )
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
            lease_until=now_ms() + to_ms(settings.lease_seconds),
            worker=worker,
            attempts_since_progress=Job.attempts_since_progress + 1,
            started_at=func.coalesce(Job.started_at, now_ms()),
        )
        .returning(Job)
    ).one_or_none()


def _owner_has_room(most: int) -> list[ColumnElement[bool]]:
    """0: no limit. Whose a job is says its label `owner`; those without one are one owner's."""
    if most == 0:
        return []
    running = select(_owner().label("owner")).where(Job.status == JobStatus.RUNNING).subquery()
    busy = select(running.c.owner).group_by(running.c.owner).having(func.count() >= most)
    return [_owner().not_in(busy)]


def _owner() -> ColumnElement[str]:
    return func.coalesce(Job.labels[OWNER_LABEL].as_string(), "")


def start_from(
    database: Database,
    claim: Claim,
    checkpoint: Checkpoint | None,
    source: Checkpoint | None = None,
) -> None:
    """Says where this attempt starts. What earlier attempts wrote beyond it is superseded.

    Training checkpoints beyond it go: they belong to a branch that is given up, and must not
    count among those kept. Their folders are swept by who owns the artifact folder.

    `source`: of another job, with which a job begins that has no `checkpoint` of its own.
    """
    assert checkpoint is None or source is None, "it goes on, or it begins"
    step = 0 if checkpoint is None else checkpoint.step
    identity = None if checkpoint is None else checkpoint.id
    began_with = identity if source is None else source.id
    with database.write() as session:
        update_owned(
            session, claim, step=step, resume_checkpoint_id=identity, steps_per_second=None
        )
        session.execute(
            update(Attempt)
            .where(Attempt.job_number == claim.job_number, Attempt.number == claim.epoch)
            .values(start_step=step, resumed_from=began_with)
        )
        beyond = select(Checkpoint.id).where(_training_of(claim), Checkpoint.step > step)
        given_up = removable(session, session.scalars(beyond).all())
        session.execute(delete(Checkpoint).where(Checkpoint.id.in_(given_up)))
        data = {"attempt": claim.epoch, "start_step": step, "resumed_from": began_with}
        if source is not None:
            data["job_id"] = CheckpointFiles.of(source).job_id
        append_event(session, claim.job_number, "attempt", data, attempt=claim.epoch)


def trained_ms(session: Session, claim: Claim) -> int:
    """How long earlier attempts took since the job was submitted, or last retried or extended."""
    query = (
        select(func.sum(Attempt.finished_at - Attempt.started_at))
        .join(Job, Job.number == Attempt.job_number)
        .where(
            Attempt.job_number == claim.job_number,
            Attempt.number > Job.clock_after_attempt,
            Attempt.number < claim.epoch,
        )
    )
    # PostgreSQL's sum of integers is a decimal.
    return int(session.execute(query).scalar_one() or 0)


def resumable_checkpoints(session: Session, claim: Claim) -> list[Checkpoint]:
    """Newest first; the caller falls back to the next one when a hash does not match. Not those of
    a branch that was given up, which may be there for another job that begins with one."""
    query = (
        select(Checkpoint)
        .where(_training_of(claim))
        .order_by(Checkpoint.attempt.desc(), Checkpoint.step.desc())
    )
    ceilings = attempt_ceilings(session, claim.job_number)
    return [each for each in session.scalars(query) if each.step <= ceilings[each.attempt]]


def _training_of(claim: Claim) -> ColumnElement[bool]:
    return (Checkpoint.job_number == claim.job_number) & (
        Checkpoint.kind == CheckpointKind.TRAINING
    )


def renew(database: Database, settings: Settings, claim: Claim) -> Wish:
    """Extends the lease."""
    with database.write() as session:
        lease = now_ms() + to_ms(settings.lease_seconds)
        return Wish.of(update_owned(session, claim, lease_until=lease))
