"""Words for versions of a policy: `name@alias`. A promotion, and a rollback, is one PUT."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from app.answers import Json, page
from app.body import JsonBody, parse
from app.deps import DatabaseDep, PoliciesDep, ReadSession
from app.schemas import Page, Time
from store.aliases import Alias, delete_alias, list_aliases, list_moves, move_alias
from store.clock import to_rfc3339
from store.tables import PolicyAliasMove

router = APIRouter(prefix="/policies/{name}/aliases", tags=["policies"])

MAX_VERSION = 2**31 - 1
# With the longest name and an @ it still fits where a reference is taken.
MAX_ALIAS = 30

PolicyName = Annotated[str, Path(max_length=128, description="Of all of its versions.")]
AliasName = Annotated[
    str,
    Path(min_length=1, max_length=MAX_ALIAS, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
]


class AliasMove(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = Field(ge=1, le=MAX_VERSION)
    expected_version: int | None = Field(
        ge=1, le=MAX_VERSION, description="What it means now; null: there is no such alias yet."
    )


class MovesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1, le=100)
    after: str | None = Field(default=None, max_length=64)


class AliasView(TypedDict):
    name: str
    alias: str
    version: int
    policy_id: str
    moved_at: Time | None


class AliasMoveView(TypedDict):
    """`from_version`: null if it was made then; `to_version`: if it was deleted."""

    from_version: int | None
    to_version: int | None
    at: Time | None


@router.put("/{alias}", response_model=AliasView)
async def put_alias(
    name: PolicyName,
    alias: AliasName,
    body: JsonBody,
    database: DatabaseDep,
    policies: PoliciesDep,
) -> Json:
    """The next action of this server by `name@alias` is that version's; other servers follow within
    a second. The version is loaded and checked before: one that is broken changes nothing."""
    asked = parse(AliasMove, body)
    await policies.prepare(f"{name}:{asked.version}")
    async with policies.changing:
        moved = await run_in_threadpool(
            move_alias, database, name, alias, asked.version, asked.expected_version
        )
        policies.change(f"{name}@{alias}", moved.policy_id)
    return Json(_view(moved))


@router.get("", response_model=Page[AliasView])
def get_aliases(name: PolicyName, session: ReadSession) -> Json:
    """By name; all of them."""
    return Json(page([_view(each) for each in list_aliases(session, name)]))


@router.get("/{alias}/history", response_model=Page[AliasMoveView])
def get_moves(
    name: PolicyName,
    alias: AliasName,
    query: Annotated[MovesQuery, Query()],
    session: ReadSession,
) -> Json:
    """Newest first."""
    rows, cursor = list_moves(session, name, alias, limit=query.limit, cursor=query.after)
    return Json(page([_move_view(row) for row in rows], cursor))


@router.delete("/{alias}", status_code=204, response_class=Response)
async def remove_alias(
    name: PolicyName,
    alias: AliasName,
    expected_version: Annotated[int, Query(ge=1, le=MAX_VERSION)],
    database: DatabaseDep,
    policies: PoliciesDep,
) -> None:
    """Its history stays."""
    async with policies.changing:
        await run_in_threadpool(delete_alias, database, name, alias, expected_version)
        policies.change(f"{name}@{alias}", None)


def _view(alias: Alias) -> AliasView:
    return {
        "name": alias.name,
        "alias": alias.alias,
        "version": alias.version,
        "policy_id": alias.policy_id,
        "moved_at": to_rfc3339(alias.moved_at),
    }


def _move_view(row: PolicyAliasMove) -> AliasMoveView:
    return {
        "from_version": row.from_version,
        "to_version": row.to_version,
        "at": to_rfc3339(row.at),
    }
