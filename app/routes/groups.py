"""Groups of jobs that differ in their seed: `store.groups` over HTTP."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.answers import Json, page
from app.body import JsonBody, OptionalJsonBody, parse
from app.deps import DatabaseDep, ReadSession, SettingsDep
from app.group_views import batch_view, group_briefs, group_view, summary_view
from app.routes.lifecycle import Cancellation, Extension
from app.schemas import BatchView, GroupBrief, GroupView, Page, SummaryView
from store.batch import act_on_each
from store.database import Database
from store.extension import extend_job
from store.groups import get_group, jobs_of, list_groups
from store.lifecycle import cancel_job, pause_job, resume_job, retry_job
from store.summary import summarise
from store.tables import Job

router = APIRouter(prefix="/job-groups", tags=["groups"])


class GroupQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1, le=100)
    after: str | None = Field(default=None, max_length=64)


@router.get("", response_model=Page[GroupBrief])
def get_groups(query: Annotated[GroupQuery, Query()], session: ReadSession) -> Json:
    groups, cursor = list_groups(session, limit=query.limit, cursor=query.after)
    return Json(page(group_briefs(session, groups), cursor))


@router.get("/{group_id}", response_model=GroupView)
def get_one(group_id: str, session: ReadSession) -> Json:
    return Json(group_view(session, get_group(session, group_id)))


@router.get("/{group_id}/summary", response_model=SummaryView)
def summary(group_id: str, session: ReadSession) -> Json:
    group = get_group(session, group_id)
    return Json(summary_view(group, summarise(session, jobs_of(session, group))))


@router.post("/{group_id}/cancel", response_model=BatchView)
def cancel(group_id: str, body: OptionalJsonBody, database: DatabaseDep) -> Json:
    asked = parse(Cancellation, body)
    change = partial(cancel_job, database, grace_seconds=asked.grace_seconds)
    return _on_each_job(database, group_id, change)


@router.post("/{group_id}/pause", response_model=BatchView)
def pause(group_id: str, database: DatabaseDep) -> Json:
    return _on_each_job(database, group_id, partial(pause_job, database))


@router.post("/{group_id}/resume", response_model=BatchView)
def resume(group_id: str, database: DatabaseDep) -> Json:
    return _on_each_job(database, group_id, partial(resume_job, database))


@router.post("/{group_id}/retry", response_model=BatchView)
def retry(group_id: str, database: DatabaseDep) -> Json:
    return _on_each_job(database, group_id, partial(retry_job, database))


@router.post("/{group_id}/extend", response_model=BatchView)
def extend(group_id: str, body: JsonBody, database: DatabaseDep, settings: SettingsDep) -> Json:
    ends = parse(Extension, body).model_dump(exclude_unset=True)
    return _on_each_job(
        database, group_id, lambda job_id: extend_job(database, settings, job_id, ends)
    )


def _on_each_job(database: Database, group_id: str, change: Callable[[str], Job]) -> Json:
    """A job that does not allow it, such as one that has ended, refuses for itself."""
    with database.read() as session:
        jobs = [job.id for job in jobs_of(session, get_group(session, group_id))]
    return Json(batch_view(act_on_each(jobs, change)))
