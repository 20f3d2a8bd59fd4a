"""What the bell does when it rings."""

import logging
import os
import socket

from celery import shared_task

from store.database import Database
from store.doorbell import TASK
from store.settings import Settings
from worker.drain import DrainMark
from worker.supervisor import Supervisor

logger = logging.getLogger(__name__)


# Celery has no types.
@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def ring(job_id: str) -> None:
    """`job_id` says for whom it rang; which job is taken, the database decides."""
    logger.info("rung for %s", job_id)
    settings = Settings()
    database = Database(settings.database_url)
    worker = f"{socket.gethostname()}-{os.getppid()}"
    draining = DrainMark.of_parent(settings.run_dir)
    try:
        Supervisor(database, settings, worker, draining).run_next()
    finally:
        database.dispose()
