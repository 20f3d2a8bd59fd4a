"""Which queued jobs a worker has to be called for."""

from sqlalchemy import func, select, update

from store.clock import now_ms, to_ms
from store.database import Database
from store.settings import Settings
from store.states import JobStatus
from store.tables import Job


def jobs_to_ring(database: Database, settings: Settings, limit: int = 100) -> list[Job]:
    """Queued jobs that nobody was called for yet, or so long ago that the message may be lost."""
    with database.read() as session:
        stale = now_ms() - to_ms(settings.ring_again_seconds)
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
