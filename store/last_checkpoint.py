"""What a failed attempt leaves behind, told with the failure."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.tables import Checkpoint, Job


def with_last_checkpoint(
    session: Session, job: Job, message: str | None, log: str | None = None
) -> str:
    """The end of a `log` may be long, so it comes last."""
    said = (message or "").rstrip()
    gap = "\n" if "\n" in said else " "
    told = f"{said}{gap}{_last_checkpoint(session, job)}".lstrip()
    return f"{told}\n{log}" if log else told


def _last_checkpoint(session: Session, job: Job) -> str:
    query = select(Checkpoint.step).where(Checkpoint.id == job.resume_checkpoint_id)
    step = session.scalar(query)
    if step is None:
        return "No checkpoint yet."
    return f"Last checkpoint: step {step} ({job.resume_checkpoint_id})."
