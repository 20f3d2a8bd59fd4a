"""Which jobs have not ended, and who has them: one look at the database."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, make_url, select
from sqlalchemy.exc import DBAPIError

from store.clock import now_ms
from store.database import Database
from store.states import TERMINAL, JobStatus
from store.tables import Attempt, Job


@dataclass(frozen=True, kw_only=True)
class OpenJob:
    id: str
    status: str
    epoch: int
    worker: str | None
    step: int
    start_step: int  # of its last attempt
    started: bool  # the trainer of its last attempt said so
    due: bool  # no pause before its next attempt
    at_ms: int

    @property
    def runs(self) -> bool:
        return self.status == JobStatus.RUNNING

    @property
    def trains(self) -> bool:
        return self.runs and self.step > self.start_step


@dataclass(frozen=True)
class Snapshot:
    jobs: Sequence[OpenJob] = ()

    def of_worker(self, name: str) -> OpenJob | None:
        return next((job for job in self.jobs if job.runs and job.worker == name), None)

    def of_id(self, job_id: str) -> OpenJob | None:
        return next((job for job in self.jobs if job.id == job_id), None)


def is_locked(database_url: str, patience: float = 1.0) -> bool:
    """SQLite only: another process holds the one lock for writing, and does not let go."""
    url = make_url(database_url)
    if not url.drivername.startswith("sqlite"):
        return False
    connection = sqlite3.connect(str(url.database), timeout=patience, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def look(database: Database) -> Snapshot | None:
    """None while the database is away."""
    last = and_(Attempt.job_number == Job.number, Attempt.number == Job.epoch)
    query = (
        select(Job, Attempt, now_ms())
        .outerjoin(Attempt, last)
        .where(Job.status.not_in(TERMINAL))
        .order_by(Job.number)
    )
    try:
        with database.read() as session:
            rows = session.execute(query).all()
    except DBAPIError:
        return None
    return Snapshot([_open_job(job, attempt, at) for job, attempt, at in rows])


def _open_job(job: Job, attempt: Attempt | None, at: int) -> OpenJob:
    return OpenJob(
        id=job.id,
        status=job.status,
        epoch=job.epoch,
        worker=job.worker,
        step=job.step,
        start_step=0 if attempt is None else attempt.start_step,
        started=attempt is not None and attempt.fidelity is not None,
        due=job.not_before <= at,
        at_ms=at,
    )
