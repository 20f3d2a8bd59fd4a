"""Checkpoints from elsewhere."""

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool

from app.answers import Json
from app.body import parse
from app.deps import ArtifactsDep, DatabaseDep, SettingsDep
from app.multipart import PartLimits, PartWriter, boundary_of
from app.refusals import MalformedBody
from app.routes.jobs import shown
from app.schemas import JobView
from mrq_core.layout import AGENT, EPISODE, LOOSE, STATE
from store.database import Database
from store.errors import InvalidCheckpoint
from store.estimate import refuse_if_too_large
from store.idempotency import check_key
from store.ids import new_id
from store.importing import (
    SPEC,
    Upload,
    import_checkpoint,
)
from store.job_dataset import with_dataset
from store.settings import Settings
from store.spec import JobSpec
from store.storage import Artifacts
from store.storage_faults import CHECKPOINT, require_space_for, storage_told

router = APIRouter(tags=["jobs"])

PATH = "/checkpoints/import"
SMALL_BYTES = 1 << 20  # of the spec, and of state.json
# For each of these a thread is asked for once.
FEED_BYTES = 1 << 20
_PART = re.compile(
    rf"{SPEC}|{re.escape(STATE)}|{re.escape(AGENT)}|{re.escape(EPISODE)}|{re.escape(LOOSE)}"
    r"|replay-(0|[1-9][0-9]{0,17})\.safetensors"
)
LIMITS = PartLimits(
    allows=lambda name: _PART.fullmatch(name) is not None,
    allowed=", ".join((SPEC, STATE, AGENT, EPISODE, LOOSE, "replay-N.safetensors")),
    what="a checkpoint: only safetensors and JSON",
    refusal=InvalidCheckpoint,
    in_memory=(SPEC,),
    small=(SPEC, STATE),
    small_bytes=SMALL_BYTES,
)


@router.post(PATH, status_code=201, response_model=JobView)
async def import_files(
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
    artifacts: ArtifactsDep,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Json:
    """A job that has ended, made of a training checkpoint's files and the spec they belong to."""
    boundary = boundary_of(request.headers)
    if idempotency_key is not None:
        check_key(idempotency_key)
    job_id = new_id("job")
    stack = ExitStack()
    try:
        folder = await run_in_threadpool(_open, stack, artifacts, job_id)

        def require_space(size: int) -> None:
            require_space_for(CHECKPOINT, folder, size, settings.disk_reserve_bytes)

        announced = request.headers.get("content-length", "0")
        require_space(int(announced[:20]) if announced.isdecimal() else 0)
        writer = PartWriter(folder, boundary, LIMITS, require_space)
        stack.callback(writer.close)
        await _receive(request, writer)
        upload = Upload(job_id=job_id, folder=folder, hashes=writer.hashes)
        spec = writer.held.get(SPEC)
        return await run_in_threadpool(
            _import, database, settings, artifacts, spec, upload, idempotency_key
        )
    finally:
        # Also of a request that is cancelled; files may be large, so not in the event loop.
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(stack.close)


def _open(stack: ExitStack, artifacts: Artifacts, job_id: str) -> Path:
    with storage_told(CHECKPOINT):
        return stack.enter_context(artifacts.incoming(job_id))


async def _receive(request: Request, writer: PartWriter) -> None:
    waiting = bytearray()
    async for chunk in request.stream():
        waiting += chunk
        if len(waiting) >= FEED_BYTES:
            await run_in_threadpool(_feed, writer, bytes(waiting))
            waiting.clear()
    await run_in_threadpool(_feed, writer, bytes(waiting))
    writer.finish()


def _feed(writer: PartWriter, data: bytes) -> None:
    with storage_told(CHECKPOINT):
        writer.feed(data)


def _import(
    database: Database,
    settings: Settings,
    artifacts: Artifacts,
    body: bytes | None,
    upload: Upload,
    idempotency_key: str | None,
) -> Json:
    asked = _spec(body)
    with database.read() as session:
        spec = with_dataset(session, asked)
    refuse_if_too_large(spec, settings.job_memory_bytes)
    job, is_new = import_checkpoint(
        database, artifacts, spec, upload, idempotency_key=idempotency_key
    )
    replayed = {} if is_new else {"Idempotent-Replayed": "true"}
    return Json(shown(database, job), 201, {"Location": f"/jobs/{job.id}", **replayed})


def _spec(body: bytes | None) -> JobSpec:
    if body is None:
        text = f"The part {SPEC!r} is missing; allowed: the job's spec, as for POST /jobs."
        raise InvalidCheckpoint(text, param=SPEC, allowed="the job's spec")
    try:
        return parse(JobSpec, body)
    except MalformedBody as error:
        error.param = SPEC
        error.message = error.message.replace("The body", f"The part {SPEC!r}")
        raise
