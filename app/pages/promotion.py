"""Promoting a checkpoint from the page of its job."""

from sqlalchemy.orm import Session

from app.routes.policies import Promotion
from app.serving.policies import LoadedPolicies
from store.database import Database
from store.errors import NotFound
from store.policies import promote_checkpoint
from store.tables import Checkpoint, Job


def checkpoint_of(session: Session, job: Job, checkpoint_id: str) -> Checkpoint:
    checkpoint = session.get(Checkpoint, checkpoint_id)
    if checkpoint is None or checkpoint.job_number != job.number:
        raise NotFound("checkpoint", checkpoint_id)
    return checkpoint


def promote(database: Database, loaded: LoadedPolicies, checkpoint: Checkpoint, name: str) -> None:
    asked = Promotion(checkpoint_id=checkpoint.id, name=name)
    policy = promote_checkpoint(database, asked.checkpoint_id, asked.name)
    loaded.forget_name(policy.name)
