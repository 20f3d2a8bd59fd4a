"""What a user may do to a job, in each of its phases. docs/reference/jobs.md has the same table.

A job that no attempt owns changes at once. One that runs is told, and its supervisor brings it
there (`store.endings`). Terminal states change by a user's retry or extension only: never by an
attempt, whose epoch is behind by then.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.database import Database
from store.errors import NotFound, TransitionRefused
from store.events import append_event
from store.ids import require_storable
from store.pins import hold
from store.states import Desired, JobStatus, Reason
from store.tables import Job

# What a trainer that is asked to stop has for its last checkpoint.
GRACE_SECONDS = 60.0


class Action(StrEnum):
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    EXTEND = "extend"


class Phase(StrEnum):
    """A job's status, and what was asked of it while it runs."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    CANCELLING = "cancelling"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# A phase that is not named here refuses the action; one that leads to itself is there already.
TRANSITIONS: Mapping[Action, Mapping[Phase, Phase]] = {
    Action.CANCEL: {
        Phase.QUEUED: Phase.CANCELLED,
        Phase.PAUSED: Phase.CANCELLED,
        Phase.RUNNING: Phase.CANCELLING,
        Phase.PAUSING: Phase.CANCELLING,
        Phase.CANCELLING: Phase.CANCELLING,
    },
    Action.PAUSE: {
        Phase.QUEUED: Phase.PAUSED,
        Phase.RUNNING: Phase.PAUSING,
        Phase.PAUSING: Phase.PAUSING,
        Phase.PAUSED: Phase.PAUSED,
    },
    Action.RESUME: {
        Phase.PAUSED: Phase.QUEUED,
        Phase.PAUSING: Phase.RUNNING,
        Phase.QUEUED: Phase.QUEUED,
        Phase.RUNNING: Phase.RUNNING,
    },
    Action.RETRY: {Phase.FAILED: Phase.QUEUED, Phase.CANCELLED: Phase.QUEUED},
    Action.EXTEND: {
        Phase.QUEUED: Phase.QUEUED,
        Phase.PAUSED: Phase.PAUSED,
        Phase.SUCCEEDED: Phase.QUEUED,
    },
}
_HINTS: Mapping[tuple[Action, Phase], str] = {
    (Action.RESUME, Phase.FAILED): "Retry it instead.",
    (Action.RESUME, Phase.CANCELLED): "Retry it instead.",
    (Action.RESUME, Phase.SUCCEEDED): "Extend its budget instead.",
    (Action.RETRY, Phase.SUCCEEDED): "Extend its budget, or clone it.",
    (Action.RETRY, Phase.PAUSED): "Resume it instead.",
    (Action.EXTEND, Phase.RUNNING): "Pause it first.",
    (Action.EXTEND, Phase.FAILED): "Retry it first.",
    (Action.EXTEND, Phase.CANCELLED): "Retry it first.",
}
# Phases of a running job: its supervisor reads this and acts.
_DESIRED: Mapping[Phase, Desired] = {
    Phase.RUNNING: Desired.RUN,
    Phase.PAUSING: Desired.PAUSE,
    Phase.CANCELLING: Desired.CANCEL,
}
_WHY_QUEUED: Mapping[Action, Reason] = {
    Action.RESUME: Reason.RESUMED_BY_USER,
    Action.RETRY: Reason.RETRIED_BY_USER,
    Action.EXTEND: Reason.EXTENDED_BY_USER,
}


# What an ended job needs its training checkpoint for.
_CONTINUES = frozenset({Action.RETRY, Action.EXTEND})
# A pause is part of a run; a retry and an extension begin another.
_ANEW: Mapping[str, Any] = {
    "finished_at": None,
    "weights_sha256": None,
    "clock_after_attempt": Job.epoch,
}


def _cannot_go_on(job: Job) -> str | None:
    """Why an ended job has nothing to go on from, though it has trained."""
    if job.expired_at is not None:
        return (
            f"The training checkpoints of job {job.id} were deleted after their time to live "
            "(checkpointing.ttl_seconds): it cannot go on, and must not begin again unasked. "
            "Clone it instead."
        )
    if job.reason == Reason.IMPORTED and job.resume_checkpoint_id is None:
        return (
            f"Job {job.id} was imported with its weights alone or as a policy, and has no replay "
            "to go on with. Import all files of its training checkpoint instead."
        )
    return None


def phase_of(job: Job) -> Phase:
    if job.status != JobStatus.RUNNING:
        return Phase(job.status)
    return next(phase for phase, desired in _DESIRED.items() if desired == job.desired)


def allowed_actions(job: Job) -> list[Action]:
    """Those that would change something."""
    phase = phase_of(job)
    return [
        action
        for action, to in TRANSITIONS.items()
        if to.get(phase, phase) != phase or (action is Action.EXTEND and phase in to)
        if action not in _CONTINUES or _cannot_go_on(job) is None
    ]


def cancel_job(database: Database, job_id: str, *, grace_seconds: float | None = None) -> Job:
    """A job that nobody runs is cancelled at once, a running one when its supervisor next looks.

    `grace_seconds` is what its trainer has, from when it is asked to stop, for a last checkpoint;
    None for GRACE_SECONDS, 0 for none. Asking again may shorten it, never lengthen it.
    """

    def hurry(_: Session, job: Job) -> None:
        asked = GRACE_SECONDS if grace_seconds is None else grace_seconds
        if phase_of(job) is Phase.CANCELLING and job.grace_seconds is not None:
            asked = min(asked, job.grace_seconds)
        job.grace_seconds = asked

    return act(database, job_id, Action.CANCEL, hurry)


def pause_job(database: Database, job_id: str) -> Job:
    """A running one writes a checkpoint and gives its worker back; `resume_job` goes on there."""
    return act(database, job_id, Action.PAUSE)


def resume_job(database: Database, job_id: str) -> Job:
    return act(database, job_id, Action.RESUME)


def retry_job(database: Database, job_id: str) -> Job:
    """A failed or cancelled job goes on from its last checkpoint, or begins if it has none."""
    return act(database, job_id, Action.RETRY)


def _as_it_is(_session: Session, _job: Job) -> None:
    return


def act(
    database: Database,
    job_id: str,
    action: Action,
    change: Callable[[Session, Job], None] = _as_it_is,
) -> Job:
    """`change` is made to the job of an allowed action, in its transaction."""
    require_storable("job", job_id)
    with database.write() as session:
        job = session.scalars(
            select(Job).where(Job.id == job_id, Job.deleted_at.is_(None)).with_for_update()
        ).one_or_none()
        if job is None:
            raise NotFound("job", job_id)
        phase = phase_of(job)
        to = _require_allowed(job, action, phase)
        if action in _CONTINUES:
            _require_beginning(session, job, phase)
        change(session, job)
        session.flush()
        if to != phase:
            _enter(session, job, action, to)
        session.refresh(job)
        return job


def _require_allowed(job: Job, action: Action, phase: Phase) -> Phase:
    to = TRANSITIONS[action].get(phase)
    if to is None:
        allowed = ", ".join(TRANSITIONS[action])
        hint = _HINTS.get((action, phase), "")
        raise TransitionRefused(
            f"Job {job.id} is {phase}; {action} is for jobs that are {allowed}. {hint}".rstrip(),
            param="job_id",
            phase=phase,
        )
    why = _cannot_go_on(job) if action in _CONTINUES else None
    if why is not None:
        raise TransitionRefused(why, param="job_id", phase=phase)
    return to


def _require_beginning(session: Session, job: Job, phase: Phase) -> None:
    """A job without a checkpoint begins anew: with that of another job, if its spec says so."""
    identity = job.init_checkpoint_id
    if identity is None or job.resume_checkpoint_id is not None:
        return
    if hold(session, identity) is None:
        raise TransitionRefused(
            f"Job {job.id} has no checkpoint yet, and {identity}, which it would begin with "
            "(init_from), is gone. Clone it with another init_from.",
            param="job_id",
            phase=phase,
        )


def _enter(session: Session, job: Job, action: Action, to: Phase) -> None:
    owner_is_told = to in _DESIRED
    values = {"desired": _DESIRED[to]} if owner_is_told else _changes(action, to)
    session.execute(update(Job).where(Job.number == job.number).values(**values))
    if owner_is_told:
        append_event(session, job.number, "request", {"action": action}, attempt=job.epoch)
    else:
        data = {"status": values["status"], "reason": values["reason"]}
        append_event(session, job.number, "status", data, attempt=job.epoch)


def _changes(action: Action, to: Phase) -> dict[str, Any]:
    """Of a job that nobody owns."""
    match to:
        case Phase.PAUSED:
            return {"status": JobStatus.PAUSED, "reason": Reason.PAUSED_BY_USER, "message": None}
        case Phase.CANCELLED:
            return {
                "status": JobStatus.CANCELLED,
                "reason": Reason.CANCELLED_BY_USER,
                "finished_at": now_ms(),
            }
        case _:
            queued = _queued_again(_WHY_QUEUED[action])
            return queued if action is Action.RESUME else {**queued, **_ANEW}


def _queued_again(reason: Reason) -> dict[str, Any]:
    """At once, and the attempts of a crash loop are counted anew."""
    return {
        "status": JobStatus.QUEUED,
        "reason": reason,
        "message": None,
        "desired": Desired.RUN,
        "grace_seconds": None,
        "not_before": 0,
        "dispatched_at": 0,
        "attempts_since_progress": 0,
    }
