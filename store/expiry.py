"""Training checkpoints of ended jobs, which may be deleted after a while. Policies stay."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update

from store.clock import now_ms, to_ms
from store.database import Database
from store.events import append_event
from store.pins import has_a_job_waiting, jobs_waiting_for
from store.settings import Settings
from store.states import TERMINAL, CheckpointKind
from store.tables import Checkpoint, Job

EXPIRED_AT_ONCE = 100


def expire_checkpoints(database: Database, settings: Settings) -> Sequence[str]:
    """Forgets those of jobs that ended longer ago than their `checkpointing.ttl_seconds`, else the
    service's; 0 keeps them, and so does a job that has yet to begin with one. Returns the jobs'
    ids. Such a job can be cloned, not continued: it must never begin again in silence."""
    with database.write() as session:
        own = Job.spec[("checkpointing", "ttl_seconds")].as_float()
        ttl = func.coalesce(own, settings.checkpoint_ttl_seconds)
        query = (
            select(Job)
            .where(
                Job.status.in_(TERMINAL),
                Job.expired_at.is_(None),
                Job.resume_checkpoint_id.is_not(None),
                ttl > 0,
                Job.finished_at < now_ms() - ttl * to_ms(1.0),
                ~has_a_job_waiting(),  # or they would fill every round
            )
            .order_by(Job.number)
            .limit(EXPIRED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        jobs = session.scalars(query).all()
        expired = [job for job in jobs if not jobs_waiting_for(session, job.number)]
        for job in expired:
            session.execute(
                delete(Checkpoint).where(
                    Checkpoint.job_number == job.number,
                    Checkpoint.kind == CheckpointKind.TRAINING,
                )
            )
            values = {"expired_at": now_ms(), "resume_checkpoint_id": None}
            session.execute(update(Job).where(Job.number == job.number).values(values))
            append_event(session, job.number, "expired", {}, attempt=job.epoch)
        return [job.id for job in expired]
