"""Cancel, pause, resume, retry, extend, delete: `store.lifecycle` and others over HTTP."""

from typing import Any, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.answers import Json
from app.body import JsonBody, OptionalJsonBody, parse
from app.deps import DatabaseDep, SettingsDep
from app.routes.jobs import shown
from app.schemas import JobView
from store.database import Database
from store.deletion import delete_job, restore_job
from store.extension import ENDS, extend_job
from store.lifecycle import Phase, cancel_job, pause_job, phase_of, resume_job, retry_job
from store.spec import Seconds, Steps
from store.spec_part import refused
from store.tables import Job

router = APIRouter(prefix="/jobs/{job_id}", tags=["jobs"])

MAX_GRACE_SECONDS = 3_600.0

# Still to be brought about by a supervisor or a worker.
UNDER_WAY = frozenset({Phase.CANCELLING, Phase.PAUSING, Phase.QUEUED})
AT_ONCE: dict[int | str, dict[str, Any]] = {
    200: {"model": JobView, "description": "It is so: nobody ran it, or it was already."}
}


class Cancellation(BaseModel):
    """How long the trainer may take to save a last checkpoint."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    grace_seconds: float | None = Field(
        default=None,
        ge=0,
        le=MAX_GRACE_SECONDS,
        description="null: 60. 0: it is killed, and what it did since its last checkpoint is lost.",
    )


class Extension(BaseModel):
    """What ends the job well, anew. One at least; null takes an end away."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    total_steps: Steps | None = Field(
        default=None, description="Agent steps in all, those done included. Never null."
    )
    max_episodes: Steps | None = Field(default=None, description="Those done included.")
    max_seconds: Seconds | None = Field(default=None, description="From now on.")
    target_return: float | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise refused("total_steps", f"nothing to extend; allowed: {', '.join(ENDS)}")
        if "total_steps" in self.model_fields_set and self.total_steps is None:
            raise refused("total_steps", "total_steps=null: a job always has an end in steps")
        return self


@router.post("/cancel", status_code=202, response_model=JobView, responses=AT_ONCE)
def cancel(job_id: str, body: OptionalJsonBody, database: DatabaseDep) -> Json:
    asked = parse(Cancellation, body)
    return _answer(database, cancel_job(database, job_id, grace_seconds=asked.grace_seconds))


@router.post("/pause", status_code=202, response_model=JobView, responses=AT_ONCE)
def pause(job_id: str, database: DatabaseDep) -> Json:
    return _answer(database, pause_job(database, job_id))


@router.post("/resume", status_code=202, response_model=JobView, responses=AT_ONCE)
def resume(job_id: str, database: DatabaseDep) -> Json:
    return _answer(database, resume_job(database, job_id))


@router.post("/retry", status_code=202, response_model=JobView)
def retry(job_id: str, database: DatabaseDep) -> Json:
    return _answer(database, retry_job(database, job_id))


@router.post("/extend", status_code=202, response_model=JobView, responses=AT_ONCE)
def extend(job_id: str, body: JsonBody, database: DatabaseDep, settings: SettingsDep) -> Json:
    asked = parse(Extension, body)
    return _answer(
        database, extend_job(database, settings, job_id, asked.model_dump(exclude_unset=True))
    )


@router.delete("", response_model=JobView)
def remove(job_id: str, database: DatabaseDep, with_policies: bool = False) -> Json:
    """Hidden at once, and purged `MRQ_DELETED_KEPT_SECONDS` later; `restore` until then."""
    return _answer(database, delete_job(database, job_id, with_policies=with_policies))


@router.post("/restore", response_model=JobView)
def restore(job_id: str, database: DatabaseDep) -> Json:
    return _answer(database, restore_job(database, job_id))


def _answer(database: Database, job: Job) -> Json:
    return Json(shown(database, job), 202 if phase_of(job) in UNDER_WAY else 200)
