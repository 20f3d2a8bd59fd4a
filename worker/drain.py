"""How a worker that was told to stop tells its pool process to hand its job back.

Celery waits for a running task on SIGTERM, hours if need be. The worker's main process leaves a
mark in the run folder; the supervisor, in the pool process, looks for the mark of its parent.
"""

import os
import socket
from pathlib import Path


class DrainMark:
    def __init__(self, run_dir: Path, main_pid: int) -> None:
        # With the host: containers share a data folder, and their pids are alike.
        self._path = run_dir / f"drain-{socket.gethostname()}-{main_pid}"

    @classmethod
    def of_parent(cls, run_dir: Path) -> "DrainMark":
        return cls(run_dir, os.getppid())

    def set(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()

    def clear(self) -> None:
        """At the start of a worker: an earlier process may have had the same pid."""
        self._path.unlink(missing_ok=True)

    def __call__(self) -> bool:
        return self._path.exists()
