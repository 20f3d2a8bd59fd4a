"""Jobs as users see them: submit, find, list."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Select, func, insert, literal_column, select
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.cursor import decode_number, encode_cursor
from store.database import Database
from store.datasets import pin_dataset
from store.errors import InvalidInput, NotFound
from store.events import append_event
from store.idempotency import once
from store.ids import new_id, require_storable
from store.spec import LABEL_KEY, JobSpec
from store.states import JobStatus
from store.tables import Attempt, Job, JobGroup
from store.warm_start import with_source

# Spelt out: a database cannot know that a parameter's value fits the index's WHERE.
QUEUED_IN_INDEX: ColumnElement[str] = literal_column("'queued'")


def submit_job(
    database: Database,
    spec: JobSpec,
    *,
    idempotency_key: str | None = None,
    body: bytes = b"",
    cloned_from: str | None = None,
) -> tuple[Job, bool]:
    """Returns the job and whether it is new, as `once` does."""

    def make(session: Session) -> Job:
        (resolved,) = with_source(session, [spec], pin=True)
        return insert_job(session, resolved, cloned_from)

    return once(database, idempotency_key, body, make)


def insert_job(
    session: Session,
    spec: JobSpec,
    cloned_from: str | None = None,
    group: JobGroup | None = None,
    job_id: str | None = None,
) -> Job:
    begins = spec.init_from
    assert begins is None or begins.sha256 is not None, "it is resolved, and held"
    dataset = spec.environment.dataset
    assert (dataset is None) == (spec.environment.dataset_id is None), "`with_dataset` comes first"
    row = insert(Job).values(
        id=job_id or new_id("job"),
        name=spec.resolved_name(),
        labels=dict(spec.labels),
        environment_id=spec.environment.id,
        spec=spec.to_json(),
        spec_sha256=spec.sha256(),
        total_steps=spec.budget.total_steps,
        priority=spec.priority,
        cloned_from=cloned_from,
        group_number=None if group is None else group.number,
        init_checkpoint_id=None if begins is None else begins.checkpoint_id,
        status=JobStatus.QUEUED,
        created_at=now_ms(),
    )
    job = session.scalars(row.returning(Job)).one()
    if spec.environment.dataset_id is not None:
        pin_dataset(session, job.number, spec.environment.dataset_id)
    append_event(session, job.number, "status", {"status": JobStatus.QUEUED})
    return job


def not_deleted() -> ColumnElement[bool]:
    return Job.deleted_at.is_(None)


def get_job(session: Session, job_id: str) -> Job:
    require_storable("job", job_id)
    job = session.scalars(select(Job).where(Job.id == job_id, not_deleted())).one_or_none()
    if job is None:
        raise NotFound("job", job_id)
    return job


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    status: str | None = None
    environment: str | None = None
    name_contains: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    group_id: str | None = None


def list_jobs(
    session: Session, where: JobFilter, *, limit: int, cursor: str | None
) -> tuple[Sequence[Job], str | None]:
    """Newest first. Returns the page and the cursor of the next one, None at the end."""
    query = matching(select(Job), where).order_by(Job.number.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(Job.number < decode_number(cursor))
    rows = session.scalars(query).all()
    page = rows[:limit]
    return page, encode_cursor(page[-1].number) if len(rows) > limit else None


def count_jobs_by_status(session: Session) -> dict[str, int]:
    query = select(Job.status, func.count()).where(not_deleted()).group_by(Job.status)
    rows = session.execute(query)
    return dict(rows.all())


def matching(query: Select[Job], where: JobFilter) -> Select[Job]:
    _refuse_unsearchable(where)
    query = query.where(not_deleted())
    if where.status is not None:
        query = query.where(Job.status == where.status)
    if where.environment is not None:
        query = query.where(Job.environment_id == where.environment)
    if where.name_contains:
        query = query.where(Job.name.icontains(where.name_contains, autoescape=True))
    if where.group_id is not None:
        query = query.join(JobGroup, JobGroup.number == Job.group_number)
        query = query.where(JobGroup.id == where.group_id)
    for key, value in where.labels.items():
        query = query.where(Job.labels[key].as_string() == value)
    return query


def _refuse_unsearchable(where: JobFilter) -> None:
    """Texts that no job can have, and that a database would stumble over."""
    texts = {
        "status": where.status,
        "environment": where.environment,
        "q": where.name_contains,
        "group_id": where.group_id,
    }
    texts |= {f"label.{key}": value for key, value in where.labels.items()}
    for param, value in texts.items():
        if value is not None and "\x00" in value:
            raise InvalidInput(f"{param}={value[:80]!r} must not contain NUL.", param=param)
    for key in where.labels:
        if not re.fullmatch(LABEL_KEY, key):
            raise InvalidInput(
                f"label.{key[:80]!r} is no name of a label: it begins with a letter or a digit; "
                "letters, digits and . _ / - follow.",
                param="label",
            )


def queue_position(session: Session, job: Job) -> int | None:
    """1 for the job that is claimed next; None when it does not wait."""
    return queue_positions(session, [job]).get(job.number)


def queue_positions(session: Session, jobs: Sequence[Job]) -> dict[int, int]:
    """By number, for those that wait; one pass over the queue, however many they are."""
    waiting = [job.number for job in jobs if job.status == JobStatus.QUEUED]
    if not waiting:
        return {}
    in_turn = func.row_number().over(order_by=(Job.priority.desc(), Job.number))
    queue = select(Job.number, in_turn.label("place")).where(Job.status == QUEUED_IN_INDEX)
    places = queue.subquery()
    query = select(places.c.number, places.c.place).where(places.c.number.in_(waiting))
    return dict(session.execute(query).all())


def list_attempts(session: Session, job_number: int) -> Sequence[Attempt]:
    query = select(Attempt).where(Attempt.job_number == job_number).order_by(Attempt.number)
    return session.scalars(query).all()
