"""Checkpoints in an object store, with a cache on each worker's host.

Objects are named `JOB/files/EPOCH-SHA256` (`CheckpointFiles.object_of`), so no attempt can write
over what another has stored, nor take away what another is about to name.
"""

import re
import shutil
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from store.artifacts import (
    GENERATIONS,
    NO_ATTEMPT,
    ArtifactFolder,
    CheckpointCorrupt,
    FoundFolder,
    StoredFolder,
    hash_of,
)
from store.cache import Cache
from store.checkpoint_files import CheckpointFiles
from store.errors import FileGone, StorageUnreachable
from store.object_store import ObjectMissing, ObjectStore

READ_BYTES = 4 << 20  # a request each
_OBJECT = re.compile(r"(?P<job>job_[0-9a-f]+)/files/(?P<epoch>\d+)-[0-9a-f]{64}")


class RemoteArtifacts:
    def __init__(self, cache: Path, objects: ObjectStore) -> None:
        self.root = cache
        self._cache = Cache(cache)
        self._folder = ArtifactFolder(cache)
        self._objects = objects
        # Uploaded for a checkpoint that is not published yet: a second try goes on there.
        self._uploaded: set[str] = set()
        self._cached: deque[str] = deque()

    def using(self, job_id: str, /) -> AbstractContextManager[None]:
        return self._cache.using(job_id)

    def resume(self, files: CheckpointFiles, epoch: int, /) -> Path:
        """Downloads what the cache lacks, beside its place; the folder appears whole."""
        with self._cache.bringing(files.job_id):
            path = self._brought(files, epoch)
        self._cached = deque([files.folder])
        return path

    def _brought(self, files: CheckpointFiles, epoch: int) -> Path:
        path = self.root / files.folder
        if not self._lacks(files):
            return path
        temporary = path.parent / f".tmp-{epoch}-{uuid.uuid4().hex}"
        temporary.mkdir(parents=True)
        try:
            for name in files.hashes:
                self._bring(files, name, temporary)
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return path

    def _lacks(self, files: CheckpointFiles) -> bool:
        try:
            self._folder.verified(files.folder, files.hashes)
        except CheckpointCorrupt:
            return True
        return False

    def _bring(self, files: CheckpointFiles, name: str, folder: Path) -> None:
        try:
            cached = self._folder.verified_file(files.folder, name, files.hashes[name])
        except CheckpointCorrupt:
            self._download(files, name, folder / self._folder.file(files.folder, name).name)
        else:
            (folder / name).hardlink_to(cached)

    def _download(self, files: CheckpointFiles, name: str, target: Path) -> None:
        where, expected = self._object(files, name), files.hashes[name]
        try:
            self._objects.get(where, target)
        except ObjectMissing as error:
            raise CheckpointCorrupt(f"{files.folder}/{name}: {error}") from error
        if (found := hash_of(target)) != expected:
            told = f"sha256 {found}, expected {expected}"
            raise CheckpointCorrupt(f"{files.folder}/{name} in the object store: {told}")

    def _object(self, files: CheckpointFiles, name: str) -> str:
        if name not in files.epochs:
            raise CheckpointCorrupt(f"{files.folder}/{name} was never in the object store")
        return files.object_of(name)

    def publish(
        self, stored: StoredFolder, epoch: int, last: CheckpointFiles | None, /
    ) -> StoredFolder:
        """Shares only what a row names: an object without one may be about to go."""
        shared = {} if last is None else self._still_there(last)
        epochs = {name: shared.get(sha256, epoch) for name, sha256 in stored.files.items()}
        published = replace(stored, epochs=epochs)
        files = CheckpointFiles.stored(published)
        for name, sha256 in stored.files.items():
            if sha256 not in shared and files.object_of(name) not in self._uploaded:
                self._upload(files, name)
        self._uploaded.clear()
        self._forget_all_but_the_last(stored.folder)
        return published

    @contextmanager
    def incoming(self, job_id: str, /) -> Iterator[Path]:
        # Locked, or a worker of this host would make room there.
        with self._cache.using(job_id), self._folder.incoming(job_id) as path:
            yield path

    def take_in(self, job_id: str, step: int, save: Callable[[Path], None], /) -> StoredFolder:
        """Nobody here trains it, so no copy stays in the cache."""
        stored = ArtifactFolder(self.root).write(job_id, NO_ATTEMPT, step, save)
        try:
            # One of its own: requests share this object, and it remembers what it uploaded.
            uploader = RemoteArtifacts(self.root, self._objects)
            return uploader.publish(stored, NO_ATTEMPT, None)
        finally:
            self._folder.remove(stored.folder)

    def _still_there(self, last: CheckpointFiles) -> dict[str, int]:
        """Epochs by hash. One that somebody took away or spoilt is uploaded again."""
        sizes = {each.name: each.size_bytes for each in self._objects.list(f"{last.job_id}/files")}
        return {
            last.hashes[name]: epoch
            for name, epoch in last.epochs.items()
            if sizes.get(last.object_of(name)) == last.sizes[name]
        }

    def _upload(self, files: CheckpointFiles, name: str) -> None:
        # Read once more, or what went bad since it was written would be stored under a good name.
        path = self._folder.verified_file(files.folder, name, files.hashes[name])
        target = files.object_of(name)
        self._objects.put(path, target)
        size, expected = self._objects.size(target), path.stat().st_size
        if size != expected:
            raise StorageUnreachable(f"{target} has {size} bytes, {expected} were uploaded")
        self._uploaded.add(target)

    def _forget_all_but_the_last(self, folder: str) -> None:
        """The trainer links files into its next checkpoint from the last ones that it wrote. What
        its job began with is another's, which may be at work on this host."""
        job_id, _, _ = folder.partition("/")
        self._cached = deque(each for each in self._cached if each.startswith(f"{job_id}/"))
        self._cached.append(folder)
        while len(self._cached) > GENERATIONS:
            self._folder.remove(self._cached.popleft())

    def remove(self, names: Collection[str]) -> None:
        objects = [name for name in names if _OBJECT.fullmatch(name)]
        for folder in set(names) - set(objects):
            self._folder.remove(folder)
        self._objects.delete(objects)

    def discard(self, folder: str) -> None:
        self._folder.remove(folder)

    def sweep(self, job_id: str, named: set[str], epoch: int) -> None:
        self._folder.sweep(job_id, named=named, epoch=epoch)
        found = self._found(f"{job_id}/files")
        self._objects.delete([f.folder for f in found if f.epoch < epoch and f.folder not in named])

    def stored(self) -> Iterator[FoundFolder]:
        return self._found("")

    def _found(self, prefix: str) -> Iterator[FoundFolder]:
        for each in self._objects.list(prefix):
            if (ours := _OBJECT.fullmatch(each.name)) is not None:
                yield FoundFolder(
                    folder=each.name,
                    job_id=ours["job"],
                    epoch=int(ours["epoch"]),
                    modified_at=each.modified_at,
                    size_bytes=each.size_bytes,
                )

    def remove_stray(self, name: str) -> None:
        assert _OBJECT.fullmatch(name), f"names of objects are ours alone: {name!r}"
        self._objects.delete([name])

    def check(self, files: CheckpointFiles) -> None:
        """By a download: on the way nothing but the bytes themselves can tell."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            for name in files.hashes:
                self._download(files, name, Path(folder) / "file")

    def size_of(self, files: CheckpointFiles, name: str) -> int:
        try:
            return self._objects.size(self._object(files, name))
        except (ObjectMissing, CheckpointCorrupt) as error:
            raise FileGone(f"{files.folder}/{name} is not in the object store any more.") from error

    def read(self, files: CheckpointFiles, name: str, start: int, stop: int) -> Iterator[bytes]:
        where = self._object(files, name)
        for at in range(start, stop, READ_BYTES):
            yield self._objects.read(where, at, min(at + READ_BYTES, stop))
