"""The files of a checkpoint, to take away."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.answers import Json, page
from app.deps import ArtifactsDep, JobDep, ReadSession
from app.download import Download, answer
from app.schemas import FileView, Page
from store.checkpoint_files import CheckpointFiles, find_checkpoint
from store.errors import NotFound
from store.states import CheckpointKind
from store.storage import Artifacts
from store.tables import Checkpoint, Job

router = APIRouter(prefix="/jobs/{job_id}/checkpoints/{checkpoint_id}/files", tags=["results"])

CheckpointId = Annotated[str, Path(max_length=128)]
_BYTES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/octet-stream": {}}}
    for status, text in {200: "The file.", 206: "The part of it that `Range` asks for."}.items()
}


@router.get("", response_model=Page[FileView])
def get_files(job: JobDep, checkpoint_id: CheckpointId, session: ReadSession) -> Json:
    """Their names, sizes and hashes."""
    checkpoint = find_checkpoint(session, job, checkpoint_id)
    if checkpoint.kind == CheckpointKind.POLICY:
        return Json(page([_held_view(n, content) for n, content in _held(checkpoint).items()]))
    files = CheckpointFiles.of(checkpoint)
    return Json(page([_view(name, files.sizes.get(name), h) for name, h in files.hashes.items()]))


def _held_view(name: str, content: bytes) -> FileView:
    return _view(name, len(content), sha256(content).hexdigest())


def _view(name: str, size: int | None, digest: str) -> FileView:
    return {"name": name, "size_bytes": size, "sha256": digest}


@router.get("/{name}", response_class=Response, responses=_BYTES)
def get_file(
    job: JobDep,
    checkpoint_id: CheckpointId,
    name: Annotated[str, Path(max_length=256)],
    request: Request,
    session: ReadSession,
    artifacts: ArtifactsDep,
) -> Response:
    """Its bytes, with `Range`, `If-Range` and `If-None-Match`; `Repr-Digest` has its sha-256."""
    return answer(_find(session, artifacts, job, checkpoint_id, name), request)


def _find(
    session: Session, artifacts: Artifacts, job: Job, checkpoint_id: str, name: str
) -> Download:
    """Looked up among the names of the checkpoint's row: the client's own never becomes a path."""
    checkpoint = find_checkpoint(session, job, checkpoint_id)
    if checkpoint.kind == CheckpointKind.POLICY:
        return _held_download(_held(checkpoint), name)
    files = CheckpointFiles.of(checkpoint)
    if name not in files.hashes:
        raise _no_such_file(name)
    return Download(
        name=name,
        size=artifacts.size_of(files, name),
        sha256=files.hashes[name],
        read=lambda start, stop: artifacts.read(files, name, start, stop),
    )


def _held(checkpoint: Checkpoint) -> dict[str, bytes]:
    """A policy is in its row: the graph, the JSON that says how to use it, and the learnt model."""
    assert checkpoint.onnx is not None
    manifest = orjson.dumps(checkpoint.manifest, option=orjson.OPT_SORT_KEYS)
    held = {"policy.onnx": checkpoint.onnx, "policy.json": manifest}
    return held if checkpoint.model_onnx is None else held | {"model.onnx": checkpoint.model_onnx}


def _held_download(held: Mapping[str, bytes], name: str) -> Download:
    if name not in held:
        raise _no_such_file(name)
    content = held[name]

    def read(start: int, stop: int) -> Iterator[bytes]:
        yield content[start:stop]

    digest = sha256(content).hexdigest()
    return Download(name=name, size=len(content), sha256=digest, read=read)


def _no_such_file(name: str) -> NotFound:
    missing = NotFound("file", name)
    missing.param = "name"
    return missing
