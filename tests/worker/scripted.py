"""Jobs that the scripted trainer trains, whose name says what it does, and what became of them."""

import time
from typing import Any

from store.database import Database
from store.jobs import get_job, list_attempts, submit_job
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Attempt, Job
from worker.supervisor import Supervisor

SCRIPTED = "tests.worker.scripted_trainer"


def submit(database: Database, name: str, **changes: Any) -> str:
    spec = {"name": name, "environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 100}}
    return submit_job(database, JobSpec.model_validate(spec | changes))[0].id


def run_next(database: Database, settings: Settings) -> None:
    time.sleep(0.02)  # the pause before another attempt is over
    Supervisor(database, settings, "test-worker", lambda: False, SCRIPTED).run_next()


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return get_job(session, job_id)


def attempts_of(database: Database, job_id: str) -> list[Attempt]:
    with database.read() as session:
        return list(list_attempts(session, get_job(session, job_id).number))
