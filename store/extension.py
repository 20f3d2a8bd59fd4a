"""More to do for a job: it goes on exactly where its last checkpoint stands."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from store.database import Database
from store.errors import InvalidInput
from store.estimate import refuse_if_too_large
from store.events import append_event
from store.lifecycle import Action, act
from store.settings import Settings
from store.spec import MAX_MARKS, JobSpec
from store.states import JobStatus, Reason
from store.tables import Checkpoint, Job

# What ends a job well, and the part of its spec that says so.
ENDS: Mapping[str, str] = {
    "total_steps": "budget",
    "max_episodes": "budget",
    "max_seconds": "budget",
    "target_return": "early_stopping",
}
# A retry and an extension start the clock anew, so any number of seconds is more.
_MUST_GROW = frozenset({"total_steps", "max_episodes", "target_return"})


def extend_job(database: Database, settings: Settings, job_id: str, ends: Mapping[str, Any]) -> Job:
    """`ends`: new values for some of `ENDS`, None to take one away. Steps and episodes count those
    done. Raises `InvalidInput` unless there is more to do then, and `EstimateTooLarge` as for a
    new job: a longer run fills more of its replay buffer."""

    def extend(session: Session, job: Job) -> None:
        imported = job.reason == Reason.IMPORTED
        if not imported:  # whose ends are asked for now, and may well be those of its spec
            for name, value in ends.items():
                _require_more(name, value, job.spec.get(ENDS[name], {}).get(name))
        spec = JobSpec.model_validate(_longer(job.spec, ends))
        total = spec.budget.total_steps
        if job.status == JobStatus.SUCCEEDED:
            _require_work(job, spec, ends)
        if imported:
            _require_episodes(session, job, spec)
        refuse_if_too_large(spec, settings.job_memory_bytes)
        if "max_seconds" in ends:  # from now on
            job.clock_after_attempt = job.epoch
        job.spec, job.spec_sha256, job.total_steps = spec.to_json(), spec.sha256(), total
        append_event(session, job.number, "extended", dict(ends), attempt=job.epoch)

    return act(database, job_id, Action.EXTEND, extend)


def _require_work(job: Job, spec: JobSpec, ends: Mapping[str, Any]) -> None:
    """A job that would end at once again has not been extended."""
    total, target = spec.budget.total_steps, spec.early_stopping.target_return
    if job.step >= total:
        text = f"total_steps={total} must be more than the {job.step} that are done."
        raise InvalidInput(text, param="total_steps")
    if target is not None and job.best_return is not None and job.best_return >= target:
        text = f"target_return={target} is reached already: an evaluation had {job.best_return}."
        raise InvalidInput(f"{text} Raise it, or take it away with null.", param="target_return")
    if job.reason == Reason.EPISODES_EXHAUSTED and "max_episodes" not in ends:
        text = f"All max_episodes={spec.budget.max_episodes} are done: give more, or null for none."
        raise InvalidInput(text, param="max_episodes")


def _require_episodes(session: Session, job: Job, spec: JobSpec) -> None:
    """An imported job has no reason that would say it."""
    most = spec.budget.max_episodes
    checkpoint = session.get_one(Checkpoint, job.resume_checkpoint_id)
    done: int = checkpoint.manifest["episodes"]
    if most is not None and most <= done:
        text = f"max_episodes={most} must be more than the {done} that are done, or null for none."
        raise InvalidInput(text, param="max_episodes")


def _require_more(name: str, value: Any, now: Any) -> None:
    if name not in _MUST_GROW or value is None:
        return
    if now is None or value <= now:
        raise InvalidInput(f"{name}={value} must be more than it is now: {now}.", param=name)


def _longer(spec: dict[str, Any], ends: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluations and checkpoints come as before, unless those would be too many by the end."""
    changed = {part: dict(spec.get(part, {})) for part in {*ENDS.values()}}
    for name, value in ends.items():
        changed[ENDS[name]][name] = value
    least = -(-changed["budget"]["total_steps"] // MAX_MARKS)
    for part in ("evaluation", "checkpointing"):
        changed[part] = {**spec[part], "every_steps": max(spec[part]["every_steps"], least)}
    return {**spec, **changed}
