"""Where datasets are kept: beside the checkpoints, in the same folder or the same bucket.

A file is called by its sha256 and its dataset's id. Two datasets share none, so that deleting one
can never take away what another has just come to name; whoever reads one compares the hash.
"""

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from store.artifacts import hash_of, sync
from store.errors import FileGone, StorageUnreachable
from store.settings import Settings

FOLDER = "datasets"
READ_BYTES = 1 << 20
# A copy that nobody on this host has asked for since goes when there are more than so many.
KEPT_COPIES = 16
KEPT_SECONDS = 86_400.0
_NAME = re.compile(r"[0-9a-f]{64}-ds_[0-9a-f]+")
_TEMPORARY = ".tmp-"


def file_name(sha256: str, dataset_id: str) -> str:
    name = f"{sha256}-{dataset_id}"
    assert _NAME.fullmatch(name), f"names of datasets' files are ours alone: {name!r}"
    return name


class DatasetDamaged(Exception):
    """The file is missing, or its bytes are others than those that were checked."""


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    name: str
    modified_at: float  # seconds since 1970, by the clock of where it is
    size_bytes: int


class DatasetFiles(Protocol):
    """Any method may raise `StorageUnreachable`."""

    def put(self, path: Path, name: str) -> None:
        """When it returns, the file is safe, under this name, and any host can read it."""

    def fetch(self, name: str) -> Path:
        """A file of this host with these bytes, verified. `DatasetDamaged` if there is none."""

    def check(self, name: str) -> None:
        """Reads it where it is kept. `DatasetDamaged` if it is not what its name says."""

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """`FileGone` if it is not there."""

    def remove(self, name: str) -> None:
        """Also one that is not there."""

    def stored(self) -> Iterator[FoundFile]:
        """All there are, named by a row or not."""


class LocalDatasetFiles:
    """A folder that every worker host sees."""

    def __init__(self, artifact_dir: Path) -> None:
        self._root = artifact_dir / FOLDER

    def put(self, path: Path, name: str) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        temporary = self._root / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            shutil.copyfile(path, temporary)
            sync(temporary)
            temporary.rename(self._root / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(self._root)
        sync(self._root.parent)

    def fetch(self, name: str) -> Path:
        return _verified(self._root / name, name)

    def check(self, name: str) -> None:
        self.fetch(name)

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        try:
            file = (self._root / name).open("rb")
        except OSError as error:
            text = f"{FOLDER}/{name} is not in this server's artifact folder."
            raise FileGone(text) from error
        with file:
            file.seek(start)
            while start < stop and (part := file.read(min(READ_BYTES, stop - start))):
                start += len(part)
                yield part

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def stored(self) -> Iterator[FoundFile]:
        for path in sorted(self._root.glob("*")):
            if _NAME.fullmatch(path.name) or path.name.startswith(_TEMPORARY):
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield FoundFile(
                        name=path.name,
                        modified_at=path.stat().st_mtime,
                        size_bytes=path.stat().st_size,
                    )


def _verified(path: Path, name: str) -> Path:
    try:
        found = hash_of(path)
    except FileNotFoundError as error:
        raise DatasetDamaged(f"{FOLDER}/{name}: {error}") from error
    if found != name.partition("-")[0]:
        raise DatasetDamaged(f"{FOLDER}/{name} has sha256 {found}")
    return path


class RemoteDatasetFiles:
    """Objects `datasets/NAME`, with a copy on each host that has asked for it."""

    def __init__(self, cache_dir: Path, url: str) -> None:
        # Its libraries are an extra, and take a while to load.
        from store.object_store import ObjectMissing, ObjectStore

        self._missing = ObjectMissing
        self._objects = ObjectStore(url)
        self._cache = cache_dir / FOLDER

    def put(self, path: Path, name: str) -> None:
        self._objects.put(path, self._at(name))
        size, expected = self._objects.size(self._at(name)), path.stat().st_size
        if size != expected:
            raise StorageUnreachable(f"{name} has {size} bytes, {expected} were uploaded")

    def fetch(self, name: str) -> Path:
        """Downloaded beside its place; it appears whole and checked."""
        path = self._cache / name
        with suppress(DatasetDamaged):
            os.utime(_verified(path, name))
            return path
        try:
            self._download(name, path)
        except DatasetDamaged:  # on the way, perhaps
            self._download(name, path)
        self._evict()
        return path

    def _download(self, name: str, path: Path) -> None:
        with self._downloaded(name) as temporary:
            temporary.rename(path)

    def check(self, name: str) -> None:
        """By a download: on the way nothing but the bytes themselves can tell."""
        with self._downloaded(name):
            return

    @contextmanager
    def _downloaded(self, name: str) -> Iterator[Path]:
        self._cache.mkdir(parents=True, exist_ok=True)
        temporary = self._cache / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            self._objects.get(self._at(name), temporary)
            yield _verified(temporary, name)
        except self._missing as error:
            raise DatasetDamaged(f"{FOLDER}/{name}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, READ_BYTES):
            try:
                yield self._objects.read(self._at(name), at, min(at + READ_BYTES, stop))
            except self._missing as error:
                raise FileGone(f"{FOLDER}/{name} is not in the object store any more.") from error

    def remove(self, name: str) -> None:
        (self._cache / name).unlink(missing_ok=True)
        self._objects.delete([self._at(name)])

    def stored(self) -> Iterator[FoundFile]:
        for each in self._objects.list(FOLDER):
            name = each.name.removeprefix(f"{FOLDER}/")
            if _NAME.fullmatch(name):
                yield FoundFile(name=name, modified_at=each.modified_at, size_bytes=each.size_bytes)

    def _at(self, name: str) -> str:
        return f"{FOLDER}/{name}"

    def _evict(self) -> None:
        """A trainer reads its copy when it starts, which is never a day after it was asked for."""
        used = []
        for path in self._cache.glob("*"):
            with suppress(FileNotFoundError):  # evicted by another
                used.append((path.stat().st_mtime, path))
        for used_at, path in sorted(used, reverse=True)[KEPT_COPIES:]:
            if used_at < time.time() - KEPT_SECONDS:
                path.unlink(missing_ok=True)


def open_dataset_files(settings: Settings) -> DatasetFiles:
    if not settings.artifacts_url:
        return LocalDatasetFiles(settings.artifact_dir)
    return RemoteDatasetFiles(settings.cache_dir, settings.artifacts_url)
