"""Promoting a checkpoint from the page of its job."""

from app.routes.policies import Promotion
from store.checkpoint_files import find_checkpoint
from store.database import Database
from store.jobs import get_job
from store.policies import promote_checkpoint


def promote(database: Database, job_id: str, checkpoint_id: str, name: str) -> str:
    """Returns the name that has a new version now."""
    with database.read() as session:  # given back before a connection to write is asked for
        job = get_job(session, job_id)
        checkpoint = find_checkpoint(session, job, checkpoint_id)
    asked = Promotion(checkpoint_id=checkpoint.id, name=name)
    return promote_checkpoint(database, asked.checkpoint_id, asked.name).name
