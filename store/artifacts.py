"""Training checkpoints on disk: written beside their place, made durable, moved in one rename.

The epoch is part of the folder's name, so a fenced attempt can never write over its successor's.
A file may be a hard link into an earlier folder: each folder is complete without the others.
"""

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections import ChainMap, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

FORMAT_VERSION = 1
# The epoch of what no attempt has written.
NO_ATTEMPT = 0
# A checkpoint shares files with the one before the last, never with the last: of two neighbours,
# one is whole though a block of the other went bad.
GENERATIONS = 2
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_SAFE = re.compile(r"job_[0-9a-f]+/\d+-\d+")
# Of the files in it: they are named by the trainer, which runs the code of environments.
_SAFE_FILE = re.compile(r"[A-Za-z0-9][\w.-]{0,127}", re.ASCII)
# A finished folder is EPOCH-STEP, one being written .tmp-EPOCH-RANDOM.
_JOB = re.compile(r"job_[0-9a-f]+")
_OURS = re.compile(r"(\.tmp-)?(?P<epoch>\d+)-\w+")


@dataclass(frozen=True, kw_only=True)
class StoredFolder:
    """A training checkpoint that is safely on disk and not yet known to anybody."""

    folder: str  # relative to the artifact folder
    size_bytes: int  # of all its files, also those that other folders share
    sha256: str  # over the sorted (name, sha256) pairs of its files
    files: dict[str, str]  # name -> sha256
    format_version: int
    sizes: dict[str, int] = field(default_factory=dict)  # by name
    # By name: the attempt that uploaded it. Empty while it is in this folder alone.
    epochs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoundFolder:
    """A folder in the artifact folder, whether a row names it or not."""

    folder: str  # relative to the artifact folder; of an object store, one object's name
    job_id: str
    epoch: int
    modified_at: float  # seconds since 1970, by the clock of where it is
    size_bytes: int


class Content(NamedTuple):
    """What tells that a file is the one seen before, unchanged."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Content":
        status = path.stat()
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class CheckpointCorrupt(Exception):
    """A file is missing or its hash is not the one in the database."""


class ArtifactFolder:
    def __init__(self, root: Path, *, reserve_bytes: int = 0, last_size: int = 0) -> None:
        """`last_size`: of the checkpoint that an attempt begins with."""
        self.root = root
        self._reserve = reserve_bytes
        self._last_size = last_size
        # Of the folders that were last written, the newest first: files that a next one links are
        # known.
        self._hashed: deque[dict[Content, str]] = deque(maxlen=GENERATIONS)

    def write(
        self, job_id: str, epoch: int, step: int, save: Callable[[Path], None]
    ) -> StoredFolder:
        """`save` writes files into the empty folder it is given.

        When this returns, the files survive power loss. On an exception nothing is left behind.
        """
        folder = f"{job_id}/{epoch}-{step}"
        final = self.root / folder
        temporary = self.root / job_id / f".tmp-{epoch}-{uuid.uuid4().hex}"
        require_space(self.root, self._last_size, self._reserve)
        temporary.mkdir(parents=True)
        placed = temporary
        try:
            save(temporary)
            contents = {path.name: Content.of(path) for path in sorted(temporary.iterdir())}
            hashes = {name: self._digest(temporary / name, c) for name, c in contents.items()}
            sync(temporary)
            placed = temporary.rename(final)
            sync(final.parent)
            sync(self.root)  # the job's first checkpoint has made its folder
            self._hashed.appendleft({c: hashes[name] for name, c in contents.items()})
        except BaseException:
            shutil.rmtree(placed, ignore_errors=True)
            raise
        self._last_size = sum(content.size for content in contents.values())
        return StoredFolder(
            folder=folder,
            size_bytes=self._last_size,
            sha256=manifest_hash(hashes),
            files=hashes,
            format_version=FORMAT_VERSION,
            sizes={name: content.size for name, content in contents.items()},
        )

    @contextmanager
    def incoming(self, job_id: str) -> Iterator[Path]:
        """An empty folder for files of a job that has no row yet. It goes at the end; if that does
        not come, it is garbage like what a killed attempt leaves."""
        path = self.root / job_id / f".tmp-{NO_ATTEMPT}-{uuid.uuid4().hex}"
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # unless a checkpoint has come of it
                path.parent.rmdir()

    def verified(self, folder: str, files: Mapping[str, str]) -> Path:
        """The folder's path, after every file's hash was compared."""
        for name, expected in files.items():
            self.verified_file(folder, name, expected)
        return self._inside(folder)

    def verified_file(self, folder: str, name: str, sha256: str) -> Path:
        path = self.file(folder, name)
        try:
            found = hash_of(path)
        except OSError as error:
            raise CheckpointCorrupt(f"{folder}/{name}: {error}") from error
        if found != sha256:
            raise CheckpointCorrupt(f"{folder}/{name}: sha256 {found}, expected {sha256}")
        return path

    def file(self, folder: str, name: str) -> Path:
        """Inside, whatever the trainer has called it or laid there."""
        path = self._inside(folder) / name
        if not _SAFE_FILE.fullmatch(name):
            raise CheckpointCorrupt(f"{folder}: a file must not be called {name!r}")
        if any(part.is_symlink() for part in (path, path.parent, path.parent.parent)):
            raise CheckpointCorrupt(f"{folder}/{name} is a link to somewhere else")
        return path

    def remove(self, folder: str) -> None:
        shutil.rmtree(self._inside(folder), ignore_errors=True)

    def folders(self) -> Iterator[FoundFolder]:
        """All checkpoint folders there are, finished or not; what is not ours is left out."""
        for job_folder in sorted(self.root.glob("job_*")):
            for path in sorted(job_folder.iterdir()):
                if (ours := _OURS.fullmatch(path.name)) is not None:
                    with suppress(FileNotFoundError):  # removed meanwhile
                        yield FoundFolder(
                            folder=f"{job_folder.name}/{path.name}",
                            job_id=job_folder.name,
                            epoch=int(ours["epoch"]),
                            modified_at=path.stat().st_mtime,
                            size_bytes=sum(file.stat().st_size for file in path.iterdir()),
                        )

    def remove_stray(self, folder: str) -> None:
        """One that `folders` has named, and its job's folder if that is empty then."""
        job_id, _, name = folder.partition("/")
        assert _JOB.fullmatch(job_id)
        assert _OURS.fullmatch(name), f"folder names are ours alone: {folder!r}"
        shutil.rmtree(self.root / job_id / name, ignore_errors=True)
        with suppress(OSError):
            (self.root / job_id).rmdir()

    def sweep(self, job_id: str, *, named: set[str], epoch: int) -> None:
        """Removes what earlier attempts left without a row.

        Nothing of `epoch` or later: who sweeps may be a fenced attempt that was only slow.
        """
        job_folder = self.root / job_id
        if not job_folder.is_dir():
            return
        for path in job_folder.iterdir():
            ours = _OURS.fullmatch(path.name)
            earlier = ours is not None and int(ours["epoch"]) < epoch
            if earlier and f"{job_id}/{path.name}" not in named:
                shutil.rmtree(path, ignore_errors=True)

    def _digest(self, path: Path, content: Content) -> str:
        """Also makes it durable; what was hashed once was synced then."""
        # A link's inode is held by the other folder, so the number means the same file still.
        known = ChainMap(*self._hashed).get(content) if path.stat().st_nlink > 1 else None
        return known or _hash_and_sync(path)

    def _inside(self, folder: str) -> Path:
        assert _SAFE.fullmatch(folder), f"folder names are ours alone: {folder!r}"
        return self.root / folder


def manifest_hash(hashes: Mapping[str, str]) -> str:
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def require_space(folder: Path, last_size: int, reserve_bytes: int) -> None:
    """ENOSPC, as from a write, unless twice the last checkpoint and the reserve are free: what
    fills the disk to its last byte takes the database and the logs with it."""
    needed = 2 * last_size + reserve_bytes
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        text = f"{free:,} bytes are free, {needed:,} are needed"
        raise OSError(errno.ENOSPC, f"{text} (twice the last checkpoint and the reserve)", folder)


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_and_sync(path: Path) -> str:
    sync(path)
    return hash_of(path)


def sync(path: Path) -> None:
    """A file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
