"""What a failed attempt leaves behind, told with the failure."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.tables import Checkpoint, Job


def with_last_checkpoint(session: Session, job: Job, message: str | None) -> str:
    """Behind the first line: what follows that is the end of a log."""
    said, newline, log = (message or "").partition("\n")
    return f"{said} {_last_checkpoint(session, job)}".lstrip() + newline + log


def _last_checkpoint(session: Session, job: Job) -> str:
    query = select(Checkpoint.step).where(Checkpoint.id == job.resume_checkpoint_id)
    step = session.scalar(query)
    if step is None:
        return "No checkpoint yet."
    return f"Last checkpoint: step {step} ({job.resume_checkpoint_id})."
