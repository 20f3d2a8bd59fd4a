"""What a job has produced so far."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.answers import Json, page
from app.deps import JobDep, ReadSession
from app.schemas import AttemptView, CheckpointView, EvaluationView, MetricsView, Page
from app.views import attempt_view, checkpoint_views, evaluation_view
from store.errors import InvalidInput
from store.jobs import list_attempts
from store.policies import list_checkpoints
from store.results import MAX_METRIC_KEYS
from store.series import effective_evaluations, metric_names, read_series

router = APIRouter(prefix="/jobs/{job_id}", tags=["results"])


class MetricsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: str | None = Field(
        default=None, max_length=4_000, description="Separated by commas; all if left out."
    )
    after_step: int = Field(default=-1, ge=-1, lt=2**53)
    max_points: int = Field(default=500, ge=2, le=10_000)


@router.get("/metrics", response_model=MetricsView)
def get_metrics(job: JobDep, query: Annotated[MetricsQuery, Query()], session: ReadSession) -> Json:
    names = metric_names(session, job)
    wanted = names if query.keys is None else _listed(query.keys)
    limits = {"after_step": query.after_step, "max_points": query.max_points}
    series = [read_series(session, job, key, **limits) for key in wanted]
    shown = [{"key": each.key, "points": each.points} for each in series]
    return Json({"job_id": job.id, "keys": names, "series": shown})


def _listed(keys: str) -> list[str]:
    found = list(dict.fromkeys(key for key in keys.split(",") if key))
    if len(found) > MAX_METRIC_KEYS:
        raise InvalidInput(
            f"keys names {len(found)} series; allowed: {MAX_METRIC_KEYS}.", param="keys"
        )
    return found


@router.get("/evaluations", response_model=Page[EvaluationView])
def get_evaluations(job: JobDep, session: ReadSession) -> Json:
    return Json(page([evaluation_view(e, job) for e in effective_evaluations(session, job)]))


@router.get("/checkpoints", response_model=Page[CheckpointView])
def get_checkpoints(job: JobDep, session: ReadSession) -> Json:
    return Json(page(checkpoint_views(session, job, list_checkpoints(session, job.number))))


@router.get("/attempts", response_model=Page[AttemptView])
def get_attempts(job: JobDep, session: ReadSession) -> Json:
    return Json(page([attempt_view(a) for a in list_attempts(session, job.number)]))
