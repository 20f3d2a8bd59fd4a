"""Submit, find, list, cancel."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.answers import Json, page
from app.body import JsonBody, parse
from app.deps import DatabaseDep, JobDep, ReadSession, SettingsDep
from app.schemas import DryRunView, JobView, Page
from app.views import estimate_view, job_view, job_views
from store.database import Database
from store.estimate import refuse_if_too_large
from store.jobs import JobFilter, cancel_job, list_jobs, submit_job
from store.spec import JobSpec, refused
from store.states import JobStatus
from store.tables import Job

router = APIRouter(tags=["jobs"])

LABEL = "label."


class JobQuery(BaseModel):
    """Extra parameters are `label.KEY=VALUE`, and nothing else."""

    model_config = ConfigDict(extra="allow")

    status: JobStatus | None = None
    environment: str | None = Field(default=None, max_length=128)
    q: str | None = Field(default=None, max_length=128, description="Part of the name.")
    limit: int = Field(default=20, ge=1, le=100)
    after: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _only_labels(self) -> Self:
        for name in self.model_extra or {}:
            if not name.startswith(LABEL):
                known = ", ".join(type(self).model_fields)
                text = f"{name[:80]!r} is no parameter here; allowed: {known}, label.KEY"
                raise refused(name[:80], text)
        return self

    def to_filter(self) -> JobFilter:
        extra: dict[str, Any] = self.model_extra or {}
        labels = {name.removeprefix(LABEL): str(value) for name, value in extra.items()}
        return JobFilter(
            status=self.status, environment=self.environment, name_contains=self.q, labels=labels
        )


@router.post(
    "/jobs",
    status_code=201,
    response_model=JobView,
    responses={200: {"model": DryRunView, "description": "With `dry_run`: nothing was submitted."}},
)
def create_job(
    body: JsonBody,
    database: DatabaseDep,
    settings: SettingsDep,
    dry_run: bool = False,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Json:
    spec = parse(JobSpec, body)
    needed = refuse_if_too_large(spec, settings.job_memory_bytes)
    if dry_run:
        return Json({"spec": spec.to_json(), "estimate": estimate_view(needed)})
    job, is_new = submit_job(database, spec, idempotency_key=idempotency_key, body=body)
    headers = {"Location": f"/jobs/{job.id}"}
    if not is_new:
        headers["Idempotent-Replayed"] = "true"
    return Json(_shown(database, job), 201, headers)


@router.get("/jobs", response_model=Page[JobView])
def get_jobs(query: Annotated[JobQuery, Query()], session: ReadSession) -> Json:
    jobs, cursor = list_jobs(session, query.to_filter(), limit=query.limit, cursor=query.after)
    return Json(page(job_views(session, jobs), cursor))


@router.get("/jobs/{job_id}", response_model=JobView)
def get_job(job: JobDep, session: ReadSession) -> Json:
    return Json(job_view(session, job))


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    response_model=JobView,
    responses={200: {"model": JobView, "description": "It was queued and is cancelled."}},
)
def cancel(job_id: str, database: DatabaseDep) -> Json:
    job = cancel_job(database, job_id)
    return Json(_shown(database, job), 200 if job.status == JobStatus.CANCELLED else 202)


def _shown(database: Database, job: Job) -> JobView:
    with database.read() as session:
        return job_view(session, job)
