"""Promoting a checkpoint from the page of its job."""

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from store.database import Database
from store.errors import InvalidInput, NotFound
from store.policies import promote_checkpoint
from store.spec import Name
from store.tables import Checkpoint, Job, Policy

_NAME: TypeAdapter[str] = TypeAdapter(Name)


def checkpoint_of(session: Session, job: Job, checkpoint_id: str) -> Checkpoint:
    checkpoint = session.get(Checkpoint, checkpoint_id)
    if checkpoint is None or checkpoint.job_number != job.number:
        raise NotFound("checkpoint", checkpoint_id)
    return checkpoint


def promote(database: Database, checkpoint: Checkpoint, name: str) -> Policy:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise InvalidInput(
            f"name={name[:80]!r} is no policy name; allowed: 1 to 128 letters, digits, dots, "
            "underscores and hyphens, the first one a letter or a digit.",
            param="name",
        ) from None
    return promote_checkpoint(database, checkpoint.id, name)
