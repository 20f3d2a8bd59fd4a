"""Submit, find, list, revise, clone."""

import json
from typing import Annotated, Any, Self

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.answers import Json, page
from app.body import JsonBody, parse, parse_object
from app.deps import DatabaseDep, JobDep, ReadSession, SettingsDep
from app.group_views import group_view
from app.schemas import DryRunView, GroupView, JobView, Page
from app.views import estimate_view, job_view, job_views
from store.cloning import cloned_spec
from store.database import Database
from store.estimate import refuse_if_too_large
from store.groups import submit_group
from store.installed import refuse_if_not_installed
from store.job_dataset import on_the_data_of, with_dataset
from store.jobs import JobFilter, list_jobs, submit_job
from store.jobs import get_job as get_stored_job
from store.revision import REVISABLE, revise_job
from store.seeds import JobRequest
from store.spec import JobSpec, Labels, Name, Priority
from store.spec_part import refused
from store.states import JobStatus
from store.tables import Job, JobGroup
from store.warm_start import with_source

router = APIRouter(tags=["jobs"])

LABEL = "label."


class JobQuery(BaseModel):
    """Extra parameters are `label.KEY=VALUE`, and nothing else."""

    model_config = ConfigDict(extra="allow")

    status: JobStatus | None = None
    environment: str | None = Field(default=None, max_length=128)
    q: str | None = Field(default=None, max_length=128, description="Part of the name.")
    group_id: str | None = Field(default=None, max_length=128)
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
            status=self.status,
            environment=self.environment,
            name_contains=self.q,
            labels=labels,
            group_id=self.group_id,
        )


@router.post(
    "/jobs",
    status_code=201,
    response_model=JobView | GroupView,
    responses={200: {"model": DryRunView, "description": "With `dry_run`: nothing was submitted."}},
)
def create_job(
    body: JsonBody,
    database: DatabaseDep,
    settings: SettingsDep,
    dry_run: bool = False,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Json:
    """With more than one of `seeds`: a group of jobs."""
    request = parse(JobRequest, body)
    with database.read() as session:
        first, *others = request.specs()
        first = with_dataset(session, first)
    specs = [first, *(on_the_data_of(first, spec) for spec in others)]
    refuse_if_not_installed(specs[0], settings)
    needed = refuse_if_too_large(specs[0], settings.job_memory_bytes)
    if dry_run:
        with database.read() as session:
            first, *_ = with_source(session, specs, pin=False)
        view = {"spec": first.to_json(), "estimate": estimate_view(needed), "jobs": len(specs)}
        return Json(view)
    if request.is_group:
        name = request.resolved_name()
        return _group_created(
            database,
            submit_group(database, name, specs, idempotency_key=idempotency_key, body=body),
        )
    return _created(
        database, submit_job(database, specs[0], idempotency_key=idempotency_key, body=body)
    )


@router.post("/jobs/{job_id}/clone", status_code=201, response_model=JobView)
def clone(
    job_id: str,
    body: JsonBody,
    database: DatabaseDep,
    settings: SettingsDep,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Json:
    """A new job like this one. The body is laid over its spec; a field that is null goes back to
    its default."""
    overrides = parse_object(body)
    with database.read() as session:
        original = get_stored_job(session, job_id)
        asked = parse(JobSpec, json.dumps(cloned_spec(original.spec, overrides)).encode())
        spec = with_dataset(session, asked)
    refuse_if_not_installed(spec, settings)
    refuse_if_too_large(spec, settings.job_memory_bytes)
    return _created(
        database,
        submit_job(
            database,
            spec,
            idempotency_key=idempotency_key,
            body=job_id.encode() + body,
            cloned_from=original.id,
        ),
    )


def _created(database: Database, submitted: tuple[Job, bool]) -> Json:
    job, is_new = submitted
    return Json(shown(database, job), 201, _headers(f"/jobs/{job.id}", is_new=is_new))


def _group_created(database: Database, submitted: tuple[JobGroup, bool]) -> Json:
    group, is_new = submitted
    with database.read() as session:
        view = group_view(session, group)
    return Json(view, 201, _headers(f"/job-groups/{group.id}", is_new=is_new))


def _headers(location: str, *, is_new: bool) -> dict[str, str]:
    replayed = {} if is_new else {"Idempotent-Replayed": "true"}
    return {"Location": location, **replayed}


@router.get("/jobs", response_model=Page[JobView])
def get_jobs(query: Annotated[JobQuery, Query()], session: ReadSession) -> Json:
    jobs, cursor = list_jobs(session, query.to_filter(), limit=query.limit, cursor=query.after)
    return Json(page(job_views(session, jobs), cursor))


class Revision(BaseModel):
    """One at least. What is trained does not change."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name | None = Field(default=None, description="Policies keep theirs. Never null.")
    labels: Labels | None = Field(default=None, max_length=16, description="All of them, anew.")
    priority: Priority | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise refused("priority", f"nothing to change; allowed: {', '.join(REVISABLE)}")
        for name in self.model_fields_set:
            if getattr(self, name) is None:
                raise refused(name, f"{name}=null: leave out what is to stay")
        return self


@router.patch("/jobs/{job_id}", response_model=JobView)
def revise(job_id: str, body: JsonBody, database: DatabaseDep) -> Json:
    """Name, labels, priority, at any time."""
    asked = parse(Revision, body)
    return Json(shown(database, revise_job(database, job_id, asked.model_dump(exclude_unset=True))))


@router.get("/jobs/{job_id}", response_model=JobView)
def get_job(job: JobDep, session: ReadSession) -> Json:
    return Json(job_view(session, job))


def shown(database: Database, job: Job) -> JobView:
    with database.read() as session:
        return job_view(session, job)
