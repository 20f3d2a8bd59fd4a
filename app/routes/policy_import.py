"""Policies from elsewhere."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.answers import Json
from app.deps import DatabaseDep, PoliciesDep, SettingsDep
from app.multipart import PartLimits, PartWriter, boundary_of
from app.refusals import TooManyImports
from app.schemas import PolicyView
from app.serving.trial import try_policy
from app.views import policy_view
from store.database import Database
from store.errors import InvalidPolicy
from store.imported_policy import Sha256
from store.policy_import import import_policy, read_parts
from store.servable import GRAPH, MANIFEST, MODEL
from store.settings import Settings
from store.spec import Name

router = APIRouter(tags=["policies"])

PATH = "/policies/import"
# Sixteen golden observations of four frames of 96 by 96 in colour have 7 MB.
MANIFEST_BYTES = 16 << 20
# Each is in memory from its first byte to its last check.
MAX_IMPORTS = 4
# Each may take gigabytes; none waits behind them but other imports.
MAX_TRIALS = 1
NAMES = (MANIFEST, GRAPH, MODEL)
LIMITS = PartLimits(
    allows=NAMES.__contains__,
    allowed=", ".join(NAMES),
    what="a policy: only ONNX and JSON",
    refusal=InvalidPolicy,
    in_memory=NAMES,
    small=(MANIFEST,),
    small_bytes=MANIFEST_BYTES,
)


class PolicyImport(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(
        default=None, description="As a job's would be if left out: environment and algorithm."
    )
    sha256: Sha256 | None = Field(default=None, description="Of `policy.onnx`, to be compared.")


@router.post(PATH, status_code=201, response_model=PolicyView)
async def import_files(
    request: Request,
    query: Annotated[PolicyImport, Query()],
    database: DatabaseDep,
    settings: SettingsDep,
    policies: PoliciesDep,
) -> Json:
    """The next version of a name, made of a policy's files; 200 with the newest one if that is this
    very policy."""
    importing: asyncio.Semaphore = request.app.state.importing
    if importing.locked():
        raise TooManyImports(
            f"{MAX_IMPORTS} policies are being imported; allowed: as many at once."
        )
    async with importing:
        files = await _receive(request)
        async with request.app.state.trying:
            shown, is_new = await run_in_threadpool(_import, database, settings, query, files)
    if not is_new:
        return Json(shown)
    await policies.moved(shown["name"])
    return Json(shown, 201, {"Location": shown["links"]["self"]})


async def _receive(request: Request) -> dict[str, bytes]:
    writer = PartWriter(None, boundary_of(request.headers), LIMITS)
    async for chunk in request.stream():
        writer.feed(chunk)
    writer.finish()
    return writer.held


def _import(
    database: Database, settings: Settings, query: PolicyImport, files: dict[str, bytes]
) -> tuple[PolicyView, bool]:
    for name in (MANIFEST, GRAPH):
        if name not in files:
            allowed = f"{MANIFEST} and {GRAPH}, and {MODEL} where there is one"
            text = f"{name}: it is missing; allowed: {allowed}."
            raise InvalidPolicy(text, param=name, allowed=allowed)
    parts = read_parts(
        files[MANIFEST], files[GRAPH], files.get(MODEL), name=query.name, sha256=query.sha256
    )
    try_policy(parts, settings.max_batch)
    policy, is_new = import_policy(database, parts)
    with database.read() as session:
        return policy_view(session, policy), is_new
