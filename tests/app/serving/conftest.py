"""What acts, for the tests of acting."""

import pytest

from store.database import Database
from store.jobs import get_job
from store.settings import Settings
from tests.app.driving import trained_job


@pytest.fixture
def checkpoint(database: Database, settings: Settings) -> str:
    """Promoted as swing:1."""
    job_id = trained_job(database, settings, name="swing")
    with database.read() as session:
        identity = get_job(session, job_id).best_checkpoint_id
    assert identity is not None
    return identity
