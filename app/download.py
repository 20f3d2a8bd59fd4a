"""Bytes that may be larger than the memory, whole or in part (RFC 9110, 9530).

They pass through this server, whose key guards them: the object store need not be reached by
clients, and no signed address of it gets into logs.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.problem import Problem

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


class DamagedFile(Exception):
    """Found when nearly all was sent: the answer is cut off, so that nobody takes it for whole."""


@dataclass(frozen=True, kw_only=True)
class Download:
    name: str
    size: int
    sha256: str
    read: Callable[[int, int], Iterator[bytes]]  # from the first of these bytes up to the second

    @property
    def etag(self) -> str:
        return f'"{self.sha256}"'

    def headers(self) -> dict[str, str]:
        digest = base64.b64encode(bytes.fromhex(self.sha256)).decode()
        return {
            "ETag": self.etag,
            "Repr-Digest": f"sha-256=:{digest}:",
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'attachment; filename="{self.name}"',
            # The same for ever, and somebody's: kept by who asked, asked about each time.
            "Cache-Control": "private, no-cache",
        }


def answer(download: Download, request: Request) -> Response:
    headers = download.headers()
    if _known(request.headers.get("If-None-Match"), download.etag):
        return Response(None, 304, headers)
    wanted = _wanted(request.headers, download)
    if wanted is None:
        parts = _checked(download.read(0, download.size), download)
        return _stream(parts, 200, download.size, headers)
    if not wanted:
        return _refuse(download, request)
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{download.size}"
    return _stream(download.read(wanted.start, wanted.stop), 206, len(wanted), headers)


def _stream(parts: Iterator[bytes], status: int, size: int, headers: dict[str, str]) -> Response:
    """Starlette runs the iterator in threads, a part at a time."""
    headers["Content-Length"] = str(size)
    return StreamingResponse(parts, status, headers, media_type="application/octet-stream")


def _refuse(download: Download, request: Request) -> Response:
    return Problem(
        status=416,
        code="range_not_satisfiable",
        detail=f"{download.name} has {download.size} bytes; the range begins after them.",
        param="Range",
        headers={"Content-Range": f"bytes */{download.size}"},
    ).response(request.scope)


def _known(tags: str | None, etag: str) -> bool:
    if tags is None:
        return False
    listed = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    return etag in listed or tags.strip() == "*"


def _wanted(headers: Mapping[str, str], download: Download) -> range | None:
    """None: all of it, as for several ranges at once and for what is no range. Empty: nothing that
    is there."""
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or headers.get("if-range", download.etag) != download.etag:
        return None
    first, last, tail = found.groups()
    if tail is not None:
        return range(max(0, download.size - int(tail)), download.size)
    start, stop = int(first), min(int(last) + 1 if last else download.size, download.size)
    if last and int(last) < start:
        return None  # not a range at all
    return range(start, stop)


def _checked(parts: Iterator[bytes], download: Download) -> Iterator[bytes]:
    """The last part goes out when the hash over all of them is the right one."""
    digest, held = hashlib.sha256(), b""
    for part in parts:
        digest.update(part)
        if held:
            yield held
        held = part
    if digest.hexdigest() != download.sha256:
        raise DamagedFile(f"{download.name} is not what its checkpoint's row says")
    yield held
