"""Pages that ask before something cannot be taken back. With JavaScript they open as a dialog."""

from dataclasses import dataclass

from app.pages.formats import count
from store.tables import Checkpoint, Job, JobGroup


@dataclass(frozen=True, kw_only=True)
class Question:
    question: str
    consequence: str
    action: str
    yes: str
    no: str
    back: str
    danger: bool = False
    checkpoint_id: str = ""
    name: str = ""


def ask_cancel(job: Job) -> Question:
    return Question(
        question=f"Cancel {job.name}?",
        consequence=(
            "Training stops for good. What was evaluated so far stays and can be promoted."
        ),
        action=f"/ui/jobs/{job.id}/cancel",
        yes="Cancel job",
        no="Keep it running",
        back=f"/ui/jobs/{job.id}",
        danger=True,
    )


def ask_cancel_group(group: JobGroup) -> Question:
    return Question(
        question=f"Cancel all jobs of {group.name}?",
        consequence=(
            "Training stops for good, of every seed that has not ended. What was evaluated so far "
            "stays and can be promoted."
        ),
        action=f"/ui/job-groups/{group.id}/cancel",
        yes="Cancel all",
        no="Keep them running",
        back=f"/ui/job-groups/{group.id}",
        danger=True,
    )


def ask_promote(job: Job, checkpoint: Checkpoint) -> Question:
    return Question(
        question=f"Promote step {count(checkpoint.step)}?",
        consequence=(
            "The checkpoint becomes the next version under this name. Clients that ask for the "
            "name without a version get it from then on."
        ),
        action=f"/ui/jobs/{job.id}/promote",
        yes="Promote",
        no="Not now",
        back=f"/ui/jobs/{job.id}",
        checkpoint_id=checkpoint.id,
        name=job.name,
    )
