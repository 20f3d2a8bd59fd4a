"""One action on many jobs, named by their ids or by a filter."""

from functools import partial
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.answers import Json
from app.body import JsonBody, parse
from app.deps import DatabaseDep
from app.group_views import batch_view
from app.schemas import BatchView
from store.batch import MAX_JOBS, SIMPLE, act_on_each, matching_ids
from store.database import Database
from store.jobs import JobFilter
from store.spec import LabelKey, LabelValue
from store.spec_part import refused
from store.states import JobStatus

router = APIRouter(tags=["jobs"])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Where(_Strict):
    """As the parameters of `GET /jobs`; one at least."""

    status: JobStatus | None = Field(default=None, strict=False)
    environment: str | None = Field(default=None, max_length=128)
    q: str | None = Field(default=None, max_length=128, description="Part of the name.")
    group_id: str | None = Field(default=None, max_length=128)
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=16)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"an empty filter would be every job; allowed: {known}")
        return self


class Batch(_Strict):
    """Either `ids` or `filter`."""

    action: Literal["cancel", "pause", "resume", "retry", "delete"]
    ids: list[Annotated[str, Field(max_length=128)]] | None = Field(
        default=None, min_length=1, max_length=MAX_JOBS
    )
    filter: Where | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise refused("ids", "give either ids or filter, one of the two")
        return self


@router.post("/jobs/batch", response_model=BatchView)
def act_on_many(body: JsonBody, database: DatabaseDep) -> Json:
    """Each job for itself: what one refuses, the others do."""
    asked = parse(Batch, body)
    ids, has_more = _chosen(database, asked)
    results = act_on_each(ids, partial(SIMPLE[asked.action], database))
    return Json(batch_view(results, has_more=has_more))


def _chosen(database: Database, asked: Batch) -> tuple[list[str], bool]:
    if asked.filter is None:
        return list(dict.fromkeys(asked.ids or ())), False
    where = asked.filter
    ids, has_more = matching_ids(
        database,
        JobFilter(
            status=where.status,
            environment=where.environment,
            name_contains=where.q,
            labels=where.labels,
            group_id=where.group_id,
        ),
    )
    return list(ids), has_more
