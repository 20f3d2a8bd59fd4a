"""A body that goes to the disk as it comes, and never into memory as a whole."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from app.refusals import UnsupportedMediaType
from store.datasets import no_space_told

PREFIX = "upload-"
# Of a server that was killed over it.
STALE_SECONDS = 86_400.0


def require_csv(headers: Headers) -> None:
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "text/csv":
        raise UnsupportedMediaType(
            f"Content-Type={media_type[:80]!r} must be text/csv. Parquet, NPZ and HDF5 files are "
            "not taken.",
            param="Content-Type",
        )
    charset = parameters.lower().replace(" ", "").replace('"', "").partition("charset=")[2]
    if charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType(
            f"charset={charset[:40]!r} must be utf-8: save the file with that encoding.",
            param="Content-Type",
        )
    encoding = headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(
            f"Content-Encoding={encoding[:40]!r} is not supported: send the file unpacked.",
            param="Content-Encoding",
        )


@asynccontextmanager
async def received(request: Request, folder: Path) -> AsyncIterator[Path]:
    """The body in a file of `folder`, gone with the block."""
    with no_space_told():
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=PREFIX) as file:
            async for chunk in request.stream():
                await run_in_threadpool(file.write, chunk)
            file.flush()
            yield Path(file.name)


def _remove_stale(folder: Path) -> None:
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # its own server has just removed it
            if path.stat().st_mtime < time.time() - STALE_SECONDS:
                path.unlink()
