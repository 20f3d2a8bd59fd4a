"""Several jobs that differ in nothing but their seed, launched, steered and shown as one."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, exists, func, insert, select
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.cursor import decode_number, encode_cursor
from store.database import Database
from store.errors import NotFound
from store.idempotency import once
from store.ids import new_id, require_storable
from store.jobs import insert_job, not_deleted
from store.spec import JobSpec
from store.states import JobStatus
from store.tables import Job, JobGroup
from store.warm_start import with_source


def submit_group(
    database: Database,
    name: str,
    specs: Sequence[JobSpec],
    *,
    idempotency_key: str | None = None,
    body: bytes = b"",
) -> tuple[JobGroup, bool]:
    """All of the jobs or none. Returns the group and whether it is new, as `once` does."""

    def make(session: Session) -> Job:
        group = _insert_group(session, name)
        resolved = with_source(session, specs, pin=True)
        first, *_ = [insert_job(session, spec, group=group) for spec in resolved]
        return first

    first, is_new = once(database, idempotency_key, body, make)
    with database.read() as session:
        return session.get_one(JobGroup, first.group_number), is_new


def _insert_group(session: Session, name: str) -> JobGroup:
    row = insert(JobGroup).values(id=new_id("grp"), name=name, created_at=now_ms())
    return session.scalars(row.returning(JobGroup)).one()


def get_group(session: Session, group_id: str) -> JobGroup:
    require_storable("group", group_id)
    query = select(JobGroup).where(JobGroup.id == group_id, _has_jobs())
    group = session.scalars(query).one_or_none()
    if group is None:
        raise NotFound("group", group_id)
    return group


def _has_jobs() -> ColumnElement[bool]:
    """A group is there as long as one of its jobs is not deleted."""
    return exists().where(Job.group_number == JobGroup.number, not_deleted())


def list_groups(
    session: Session, *, limit: int, cursor: str | None
) -> tuple[Sequence[JobGroup], str | None]:
    """Newest first. Returns the page and the cursor of the next one, None at the end."""
    query = select(JobGroup).where(_has_jobs()).order_by(JobGroup.number.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(JobGroup.number < decode_number(cursor))
    rows = session.scalars(query).all()
    page = rows[:limit]
    return page, encode_cursor(page[-1].number) if len(rows) > limit else None


def jobs_of(session: Session, group: JobGroup) -> Sequence[Job]:
    """In the order of the request's seeds."""
    query = select(Job).where(Job.group_number == group.number, not_deleted()).order_by(Job.number)
    return session.scalars(query).all()


def group_ids(session: Session, jobs: Sequence[Job]) -> dict[int, str]:
    """By the group's number, for those that are in one."""
    numbers = {job.group_number for job in jobs if job.group_number is not None}
    query = select(JobGroup.number, JobGroup.id).where(JobGroup.number.in_(numbers))
    return dict(session.execute(query).all())


def statuses_of(session: Session, groups: Sequence[JobGroup]) -> dict[int, dict[str, int]]:
    """How many jobs of each group have which status, by the group's number."""
    query = (
        select(JobGroup.number, Job.status, func.count())
        .join(Job, Job.group_number == JobGroup.number)
        .where(JobGroup.number.in_([group.number for group in groups]), not_deleted())
        .group_by(JobGroup.number, Job.status)
    )
    found: dict[int, dict[str, int]] = {group.number: {} for group in groups}
    for number, status, count in session.execute(query):
        found[number][status] = count
    return found


# A group is what the first of these is that one of its jobs is.
_WEIGHT = (
    JobStatus.RUNNING,
    JobStatus.QUEUED,
    JobStatus.PAUSED,
    JobStatus.FAILED,
    JobStatus.CANCELLED,
    JobStatus.SUCCEEDED,
)


def status_of(statuses: Mapping[str, int]) -> JobStatus:
    return next(status for status in _WEIGHT if statuses.get(status))
