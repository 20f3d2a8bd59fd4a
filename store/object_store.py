"""Whole objects by name in an S3 bucket, through fsspec. Credentials and endpoint: AWS_..."""

import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from store import silence
from store.artifacts import NO_SPACE
from store.errors import StorageUnreachable

logger = logging.getLogger(__name__)

SCHEME = "s3://"
CHUNK_BYTES = 16 << 20  # of an upload or a download; four at once


def _open_socket(found: tuple[Any, ...]) -> socket.socket:
    """As aiohttp would, and one that ends by itself: no timeout of botocore's holds for a request
    that is still being sent."""
    family, kind, protocol, *_ = found
    opened = socket.socket(family, kind, protocol)
    silence.limit(opened)
    return opened


OPTIONS: dict[str, Any] = {
    "use_listings_cache": False,  # others write there, too
    "skip_instance_cache": True,
    "default_block_size": CHUNK_BYTES,
    "max_concurrency": 4,
    # botocore's own tries would be multiplied with those of s3fs.
    "config_kwargs": {
        "connect_timeout": silence.CONNECT_SECONDS,
        "read_timeout": 20,
        "connector_args": {"socket_factory": _open_socket},
        "retries": {"total_max_attempts": 1},
    },
}
TRIES = 3  # by s3fs, with back-off; one that is frozen is given up after a minute


class ObjectMissing(Exception):
    """It answers, and has no such object."""


@dataclass(frozen=True, kw_only=True)
class FoundObject:
    name: str
    size_bytes: int
    modified_at: float  # seconds since 1970, by its clock


class ObjectStore:
    def __init__(self, url: str) -> None:
        """Asks it nothing yet."""
        self._root = url.removeprefix(SCHEME).rstrip("/")
        self._opened: Any = None

    def put(self, path: Path, name: str) -> None:
        """Whole or not at all; in parts if it is large. Each part's checksum is checked there."""
        with self._told():
            self._fs.put_file(str(path), self._at(name), chunksize=CHUNK_BYTES)

    def get(self, name: str, path: Path) -> None:
        with self._told():
            self._fs.get_file(self._at(name), str(path))

    def size(self, name: str) -> int:
        with self._told():
            size: int = self._fs.size(self._at(name))
            return size

    def read(self, name: str, start: int, stop: int) -> bytes:
        with self._told():
            content: bytes = self._fs.cat_file(self._at(name), start=start, end=stop)
            return content

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with self._told():
                self._fs.rm_file(self._at(name))

    def list(self, prefix: str = "") -> Iterator[FoundObject]:
        with self._told():
            found = self._fs.find(self._at(prefix).rstrip("/"), detail=True)
        for path, entry in sorted(found.items()):
            yield FoundObject(
                name=path.removeprefix(f"{self._root}/"),
                size_bytes=entry["size"],
                modified_at=entry["LastModified"].timestamp(),
            )

    @property
    def _fs(self) -> Any:
        if self._opened is None:
            self._opened = fsspec.filesystem("s3", **OPTIONS)
            self._opened.retries = TRIES
        return self._opened

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What it or the way to it answers, in three words: missing, unreachable, or no space here.

        The libraries have dozens of classes for that, so all but the known ones say unreachable:
        that is waited for, where a missing object gives a checkpoint up.
        """
        try:
            yield
        except FileNotFoundError as error:
            self._require_bucket()
            raise ObjectMissing(str(error)) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_SPACE:
                raise  # of this host's disk
            raise _unreachable(error) from error

    def _require_bucket(self) -> None:
        """One that is not there looks like one that has lost everything."""
        try:
            self._fs.call_s3("head_bucket", Bucket=self._root.partition("/")[0])
        except Exception as error:
            raise _unreachable(error) from error


def _unreachable(error: Exception) -> StorageUnreachable:
    logger.warning("the object store: %s: %s", type(error).__name__, error)
    return StorageUnreachable(f"{type(error).__name__}: {error}")
