"""What may be changed of a job at any time: how it is called and found, and how soon it is run."""

from typing import Any

from sqlalchemy import select

from store.database import Database
from store.errors import NotFound
from store.events import append_event
from store.ids import require_storable
from store.spec import JobSpec
from store.tables import Job

REVISABLE = ("name", "labels", "priority")


def revise_job(database: Database, job_id: str, changes: dict[str, Any]) -> Job:
    """`changes`: new values for some of REVISABLE, valid in a spec. What is trained stays."""
    require_storable("job", job_id)
    with database.write() as session:
        job = session.scalars(
            select(Job).where(Job.id == job_id, Job.deleted_at.is_(None)).with_for_update()
        ).one_or_none()
        if job is None:
            raise NotFound("job", job_id)
        spec = JobSpec.model_validate({**job.spec, **changes})
        job.spec, job.spec_sha256 = spec.to_json(), spec.sha256()
        job.name, job.labels, job.priority = spec.resolved_name(), dict(spec.labels), spec.priority
        append_event(session, job.number, "revised", dict(changes), attempt=job.epoch)
        session.flush()
        session.refresh(job)
        return job
