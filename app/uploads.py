"""A body that goes to the disk as it comes, and never into memory as a whole."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from app.body import require_unpacked
from app.refusals import UnsupportedMediaType
from store.dataset_formats import FORMATS, Format
from store.storage_faults import DATASET, require_space_for, storage_told
from store.unpacked import PREFIX

# Of a server that was killed over it.
STALE_SECONDS = 86_400.0


def format_of(headers: Headers) -> Format:
    media_type, options = parse_options_header(headers.get("content-type", ""))
    named = media_type.decode(errors="replace")
    if named not in FORMATS:
        allowed = ", ".join(f"{each.media_type} ({each.title})" for each in FORMATS.values())
        raise UnsupportedMediaType(
            f"Content-Type={named[:80]!r} must be one of {allowed}.", param="Content-Type"
        )
    charset = options.get(b"charset", b"utf-8").decode(errors="replace")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(
            f"charset={charset[:40]!r} must be utf-8: save the file with that encoding.",
            param="Content-Type",
        )
    require_unpacked(headers.get("content-encoding", "identity"), "send the file unpacked")
    return FORMATS[named]


@asynccontextmanager
async def received(request: Request, folder: Path, reserve_bytes: int) -> AsyncIterator[Path]:
    """The body in a file of `folder`, gone with the block."""
    announced = request.headers.get("content-length", "0")
    size = int(announced[:20]) if announced.isdecimal() else 0
    with storage_told(DATASET):
        folder.mkdir(parents=True, exist_ok=True)
        require_space_for(DATASET, folder, size, reserve_bytes)
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
