"""More steps for a job: it goes on exactly where its last checkpoint stands."""

from typing import Any

from sqlalchemy.orm import Session

from store.database import Database
from store.errors import InvalidInput
from store.estimate import refuse_if_too_large
from store.events import append_event
from store.lifecycle import Action, act
from store.settings import Settings
from store.spec import MAX_MARKS, JobSpec
from store.tables import Job


def extend_job(database: Database, settings: Settings, job_id: str, total_steps: int) -> Job:
    """`total_steps` in all, those done included. Raises `InvalidInput` unless that is more than
    now, and `EstimateTooLarge` as for a new job: a longer run fills more of its replay buffer."""

    def extend(session: Session, job: Job) -> None:
        if total_steps <= job.total_steps:
            raise InvalidInput(
                f"total_steps={total_steps} must be more than the {job.total_steps} that job "
                f"{job.id} has now.",
                param="total_steps",
            )
        spec = JobSpec.model_validate(_longer(job.spec, total_steps))
        refuse_if_too_large(spec, settings.job_memory_bytes)
        job.spec, job.spec_sha256, job.total_steps = spec.to_json(), spec.sha256(), total_steps
        append_event(session, job.number, "extended", {"total_steps": total_steps})

    return act(database, job_id, Action.EXTEND, extend)


def _longer(spec: dict[str, Any], total_steps: int) -> dict[str, Any]:
    """Evaluations and checkpoints come as before, unless those would be too many by the end."""
    least = -(-total_steps // MAX_MARKS)
    marks = {
        part: {**spec[part], "every_steps": max(spec[part]["every_steps"], least)}
        for part in ("evaluation", "checkpointing")
    }
    return {**spec, **marks, "budget": {**spec["budget"], "total_steps": total_steps}}
