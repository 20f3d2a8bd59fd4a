"""A host's copies of the checkpoints that it works on; the object store has them all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Cache:
    """One folder for each job, locked by whoever works on it: the kernel lets go for the dead."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def using(self, job_id: str) -> Iterator[None]:
        """Makes room, too: jobs that nobody on this host works on go."""
        descriptor = self._lock(job_id)
        try:
            self._evict()
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def bringing(self, job_id: str) -> Iterator[None]:
        """One at a time fills the job's folder: several jobs may begin with one of its
        checkpoints, and none may see it taken away and laid there again. Within `using` of it."""
        folder = self.root / job_id
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".bringing").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _lock(self, job_id: str) -> int:
        folder = self.root / job_id
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            # Shared: a fenced attempt of this very job may not have noticed yet.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_still(folder, descriptor):
                return descriptor
            os.close(descriptor)  # it was evicted between the opening and the lock

    def _evict(self) -> None:
        for folder in self.root.glob("job_*"):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue  # evicted by another
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
