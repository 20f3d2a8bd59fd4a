"""Promoting a checkpoint from the page of its job."""

from app.routes.policies import Promotion
from app.serving.policies import LoadedPolicies
from store.database import Database
from store.policies import promote_checkpoint
from store.tables import Checkpoint


def promote(database: Database, loaded: LoadedPolicies, checkpoint: Checkpoint, name: str) -> None:
    asked = Promotion(checkpoint_id=checkpoint.id, name=name)
    policy = promote_checkpoint(database, asked.checkpoint_id, asked.name)
    loaded.forget_name(policy.name)
