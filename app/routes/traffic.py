"""Which versions act for a bare name: by weight, and shadows whose actions nobody gets."""

from typing import Annotated, Self

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from app.answers import Json
from app.body import JsonBody, parse
from app.deps import DatabaseDep, PoliciesDep, ReadSession
from app.routes.aliases import MAX_VERSION, PolicyName
from app.schemas import Time
from store.clock import to_rfc3339
from store.spec_part import refused
from store.traffic import Share, Traffic, clear_traffic, find_traffic, set_traffic

router = APIRouter(prefix="/policies/{name}/traffic", tags=["policies"])

MAX_ROUTES = 8
MAX_SHADOWS = 2
MAX_WEIGHT = 1e6
MAX_REVISION = 2**53 - 1

Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]


class TrafficRoute(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    version: Version
    weight: float = Field(gt=0, le=MAX_WEIGHT, description="Beside the weights of the others.")


class TrafficSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    routes: list[TrafficRoute] = Field(min_length=1, max_length=MAX_ROUTES)
    shadow: list[Version] = Field(default=[], max_length=MAX_SHADOWS)
    expected_revision: int | None = Field(
        ge=1, le=MAX_REVISION, description="As it is now; null: there are no settings yet."
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[int] = set()
        places = [(f"routes.{i}.version", route.version) for i, route in enumerate(self.routes)]
        places += [(f"shadow.{i}", version) for i, version in enumerate(self.shadow)]
        for path, version in places:
            if version in seen:
                raise refused(path, f"{path}={version} is there already; allowed: each once")
            seen.add(version)
        return self


class ShareView(TypedDict):
    version: int
    weight: float


class TrafficView(TypedDict):
    name: str
    revision: int
    routes: list[ShareView]
    shadow: list[int]
    updated_at: Time | None


@router.put("", response_model=TrafficView)
async def put_traffic(
    name: PolicyName, body: JsonBody, database: DatabaseDep, policies: PoliciesDep
) -> Json:
    """The next action of this server by the bare name follows it; other servers follow within a
    second. All versions are loaded and checked before: a broken one changes nothing."""
    asked = parse(TrafficSettings, body)
    routes = [Share(version=each.version, weight=each.weight) for each in asked.routes]
    for version in (*(route.version for route in routes), *asked.shadow):
        await policies.prepare(f"{name}:{version}")
    made = await run_in_threadpool(
        set_traffic, database, name, routes, asked.shadow, asked.expected_revision
    )
    await policies.moved(name)
    return Json(_view(made))


@router.get("", response_model=TrafficView)
def get_traffic(name: PolicyName, session: ReadSession) -> Json:
    """404 where the name means its newest version."""
    return Json(_view(find_traffic(session, name)))


@router.delete("", status_code=204, response_class=Response)
async def remove_traffic(
    name: PolicyName,
    expected_revision: Annotated[int, Query(ge=1, le=MAX_REVISION)],
    database: DatabaseDep,
    policies: PoliciesDep,
) -> None:
    """The name means its newest version again."""
    await run_in_threadpool(clear_traffic, database, name, expected_revision)
    await policies.moved(name)


def _view(traffic: Traffic) -> TrafficView:
    return {
        "name": traffic.name,
        "revision": traffic.revision,
        "routes": [{"version": each.version, "weight": each.weight} for each in traffic.routes],
        "shadow": list(traffic.shadow),
        "updated_at": to_rfc3339(traffic.updated_at),
    }
