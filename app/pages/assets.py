"""Static files, held in memory under an address that changes with their bytes.

Such an address can be cached for ever, and a name that is no key of the table cannot leave it.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import Request, Response

FOLDER = Path(__file__).parent.parent / "static"
SERVED = {".js", ".css", ".svg"}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class Asset:
    body: bytes
    gzipped: bytes
    media_type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """By path below the static folder."""
    files = (path for path in sorted(FOLDER.rglob("*")) if path.suffix in SERVED)
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in files}


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    media_type, _ = mimetypes.guess_type(path.name)
    assert media_type is not None, "the suffixes served are well known"
    return Asset(
        body=body,
        gzipped=gzip.compress(body, mtime=0),
        media_type=media_type,
        version=hashlib.sha256(body).hexdigest()[:12],
    )


def asset_url(path: str) -> str:
    return f"/static/{assets()[path].version}/{path}"


def serve_asset(request: Request, version: str, path: str) -> Response:
    asset = assets().get(path)
    if asset is None or asset.version != version:
        return Response(status_code=404, headers={"Cache-Control": "no-store"})
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.gzipped, media_type=asset.media_type, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
