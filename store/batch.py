"""One action on many jobs. Each is a transaction of its own: what one refuses, the others do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from store.database import Database
from store.deletion import delete_job
from store.errors import DomainError
from store.jobs import JobFilter, matching
from store.lifecycle import (
    Action,
    Phase,
    cancel_job,
    pause_job,
    phase_of,
    resume_job,
    retry_job,
)
from store.tables import Job

MAX_JOBS = 1_000
# Those that need nothing but the job.
SIMPLE: Mapping[str, Callable[[Database, str], Job]] = {
    Action.CANCEL: cancel_job,
    Action.PAUSE: pause_job,
    Action.RESUME: resume_job,
    Action.RETRY: retry_job,
    "delete": delete_job,
}


@dataclass(frozen=True, kw_only=True)
class Acted:
    """`refusal` None: done, and `phase` is what the job is in now."""

    job_id: str
    phase: Phase | None
    refusal: DomainError | None


def act_on_each(job_ids: Iterable[str], change: Callable[[str], Job]) -> list[Acted]:
    return [_act_on(job_id, change) for job_id in job_ids]


def _act_on(job_id: str, change: Callable[[str], Job]) -> Acted:
    try:
        return Acted(job_id=job_id, phase=phase_of(change(job_id)), refusal=None)
    except DomainError as refusal:
        return Acted(job_id=job_id, phase=None, refusal=refusal)


def matching_ids(database: Database, where: JobFilter) -> tuple[Sequence[str], bool]:
    """The oldest MAX_JOBS of those that match, and whether there are more."""
    query = matching(select(Job), where).order_by(Job.number).limit(MAX_JOBS + 1)
    with database.read() as session:
        found = [job.id for job in session.scalars(query)]
    return found[:MAX_JOBS], len(found) > MAX_JOBS
