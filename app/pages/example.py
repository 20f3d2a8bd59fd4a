"""The small job that the empty list offers: a few minutes on one CPU core."""

import orjson

from store.database import Database
from store.estimate import refuse_if_too_large
from store.installed import refuse_if_not_installed
from store.jobs import submit_job
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Job

EXAMPLE = {
    "name": "pendulum-example",
    "environment": {"id": "Pendulum-v1"},
    "algorithm": {"preset": "small"},
    "budget": {"total_steps": 8_000},
    "evaluation": {"every_steps": 500},
}


def submit_example(database: Database, settings: Settings, key: str) -> Job:
    """The key travels in the form, so that a double click starts one job."""
    spec = JobSpec.model_validate(EXAMPLE)
    refuse_if_not_installed(spec, settings)
    refuse_if_too_large(spec, settings.job_memory_bytes)
    job, _ = submit_job(database, spec, idempotency_key=key, body=orjson.dumps(EXAMPLE))
    return job
