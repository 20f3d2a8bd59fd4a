"""Where training checkpoints are kept: one seam, with a shared folder or an object store behind it.

A trainer always writes into a folder of its host. What a row names is safe before the row is
committed: `publish` comes first. Why, and what it promises: docs/decisions/storage.md.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from store.artifacts import (
    NO_ATTEMPT,
    ArtifactFolder,
    CheckpointCorrupt,
    FoundFolder,
    StoredFolder,
)
from store.checkpoint_files import CheckpointFiles
from store.errors import FileGone
from store.settings import Settings

READ_BYTES = 1 << 20


class Artifacts(Protocol):
    """Any method may raise `StorageUnreachable`, which says nothing of what is stored."""

    root: Path  # where trainers of this host write

    def using(self, job_id: str, /) -> AbstractContextManager[None]:
        """While it lasts, this host's copies of the job's checkpoints stay."""

    def resume(self, files: CheckpointFiles, epoch: int, /) -> Path:
        """A folder of this host with these files, verified. `CheckpointCorrupt` if there is none
        and none to be had."""

    def publish(
        self, stored: StoredFolder, epoch: int, last: CheckpointFiles | None, /
    ) -> StoredFolder:
        """When it returns, any host can resume from it. `last`: the newest that a row names."""

    def incoming(self, job_id: str, /) -> AbstractContextManager[Path]:
        """An empty folder of this host while it lasts, for what a request brings."""

    def take_in(self, job_id: str, step: int, save: Callable[[Path], None], /) -> StoredFolder:
        """A checkpoint that no attempt has written, made safe as by `publish`. `save` may move
        files of `incoming` into the empty folder it is given. After an exception, what is left is
        garbage at most."""

    def remove(self, names: Collection[str]) -> None:
        """Folders and objects that no row names any more."""

    def discard(self, folder: str) -> None:
        """One that was never published."""

    def sweep(self, job_id: str, named: set[str], epoch: int) -> None:
        """What attempts before `epoch` left and no row names. Nothing of `epoch` or later: who
        sweeps may be a fenced attempt that was only slow."""

    def stored(self) -> Iterator[FoundFolder]:
        """All there is, named by a row or not."""

    def remove_stray(self, name: str) -> None:
        """One that `stored` has named."""

    def check(self, files: CheckpointFiles) -> None:
        """Reads every file where it is kept. `CheckpointCorrupt` if one is not as the row says."""

    def size_of(self, files: CheckpointFiles, name: str) -> int:
        """In bytes. `FileGone` if it is not there."""

    def read(self, files: CheckpointFiles, name: str, start: int, stop: int) -> Iterator[bytes]:
        """In parts that fit into memory."""


class LocalArtifacts:
    """A folder that every worker host sees: there is nothing to bring anywhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = ArtifactFolder(root)

    def using(self, _job_id: str, /) -> AbstractContextManager[None]:
        return nullcontext()

    def resume(self, files: CheckpointFiles, _epoch: int, /) -> Path:
        return self._folder.verified(files.folder, files.hashes)

    def publish(
        self, stored: StoredFolder, _epoch: int, _last: CheckpointFiles | None, /
    ) -> StoredFolder:
        return stored

    def incoming(self, job_id: str, /) -> AbstractContextManager[Path]:
        return self._folder.incoming(job_id)

    def take_in(self, job_id: str, step: int, save: Callable[[Path], None], /) -> StoredFolder:
        # Not `self._folder`: requests share this object, and a folder remembers what it wrote.
        return ArtifactFolder(self.root).write(job_id, NO_ATTEMPT, step, save)

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            self._folder.remove(name)

    def discard(self, folder: str) -> None:
        self._folder.remove(folder)

    def sweep(self, job_id: str, named: set[str], epoch: int) -> None:
        self._folder.sweep(job_id, named=named, epoch=epoch)

    def stored(self) -> Iterator[FoundFolder]:
        return self._folder.folders()

    def remove_stray(self, name: str) -> None:
        self._folder.remove_stray(name)

    def check(self, files: CheckpointFiles) -> None:
        self._folder.verified(files.folder, files.hashes)

    def size_of(self, files: CheckpointFiles, name: str) -> int:
        try:
            return self._folder.file(files.folder, name).stat().st_size
        except (OSError, CheckpointCorrupt) as error:
            text = f"{files.folder}/{name} is not in this server's artifact folder."
            raise FileGone(text) from error

    def read(self, files: CheckpointFiles, name: str, start: int, stop: int) -> Iterator[bytes]:
        with self._folder.file(files.folder, name).open("rb") as file:
            file.seek(start)
            while start < stop and (part := file.read(min(READ_BYTES, stop - start))):
                start += len(part)
                yield part


def open_artifacts(settings: Settings) -> Artifacts:
    if not settings.artifacts_url:
        return LocalArtifacts(settings.artifact_dir)
    # Its libraries are an extra, and take a while to load.
    from store.object_store import ObjectStore
    from store.remote_artifacts import RemoteArtifacts

    return RemoteArtifacts(settings.cache_dir, ObjectStore(settings.artifacts_url))
