"""Promoted checkpoints. Their actions: `app.serving.act`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.answers import Json, page
from app.body import JsonBody, parse
from app.deps import DatabaseDep, PoliciesDep, ReadSession
from app.schemas import Page, PolicyView
from app.views import policy_view, policy_views
from store.database import Database
from store.jobs import get_job
from store.policies import delete_policy, find_policy, list_policies, promote_checkpoint
from store.spec import Name

router = APIRouter(prefix="/policies", tags=["policies"])

Reference = Annotated[
    str, Path(max_length=160, description="`pol_...`, `name`, `name:3` or `name@alias`.")
]


class Promotion(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    checkpoint_id: str = Field(max_length=128)
    name: Name | None = Field(default=None, description="The job's name if left out.")
    force: bool = Field(default=False, description="Also one that was never evaluated.")


class PolicyQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    job_id: str | None = Field(default=None, max_length=128)
    limit: int = Field(default=20, ge=1, le=100)
    after: str | None = Field(default=None, max_length=64)


@router.post("", status_code=201, response_model=PolicyView)
async def create_policy(body: JsonBody, database: DatabaseDep, policies: PoliciesDep) -> Json:
    shown = await run_in_threadpool(_promote, database, parse(Promotion, body))
    await policies.moved(shown["name"])
    return Json(shown, 201, {"Location": shown["links"]["self"]})


def _promote(database: Database, asked: Promotion) -> PolicyView:
    policy = promote_checkpoint(database, asked.checkpoint_id, asked.name, force=asked.force)
    with database.read() as session:
        return policy_view(session, policy)


@router.get("", response_model=Page[PolicyView])
def get_policies(query: Annotated[PolicyQuery, Query()], session: ReadSession) -> Json:
    number = None if query.job_id is None else get_job(session, query.job_id).number
    rows, cursor = list_policies(session, job_number=number, limit=query.limit, cursor=query.after)
    return Json(page(policy_views(session, rows), cursor))


@router.delete("/{reference}", status_code=204, response_class=Response)
async def remove_policy(reference: Reference, database: DatabaseDep, policies: PoliciesDep) -> None:
    """For good. Of a name, its newest version: the one before it is the newest then. 409 while an
    alias or the traffic of its name needs it."""
    policies.forget_policy((await run_in_threadpool(delete_policy, database, reference)).id)


@router.get("/{reference}", response_model=PolicyView)
def get_policy(reference: Reference, session: ReadSession) -> Json:
    return Json(policy_view(session, find_policy(session, reference)))
