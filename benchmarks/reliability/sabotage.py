"""Defects made on purpose, from outside: the product's code knows nothing of them.

Applied in each process that `sabotaged` starts. What they break, controls.py names beforehand.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement

import store.doorbell
import store.ownership
from store.artifacts import (
    FORMAT_VERSION,
    ArtifactFolder,
    StoredFolder,
    manifest_hash,
)
from store.ownership import Claim
from store.states import JobStatus
from store.tables import Job

TRAINER = "benchmarks.reliability.sabotaged_trainer"
# A slow disk, so that one look is enough to see a folder that is being replaced.
SLOW_DISK_SECONDS = 2.0


def no_fencing() -> None:
    """Writes are guarded by the job's status and not by its epoch, and nobody fences himself."""
    import worker.lease

    def owned(claim: Claim) -> ColumnElement[bool]:
        return (Job.number == claim.job_number) & (Job.status == JobStatus.RUNNING)

    store.ownership.owned = owned
    setattr(worker.lease.Lease, "held", property(lambda _: True))  # noqa: B010


def shared_file_name() -> None:
    """A checkpoint's folder is named by its step only, and replaces what has that name."""
    write = ArtifactFolder.write

    def write_shared(
        self: ArtifactFolder, job_id: str, epoch: int, step: int, save: Callable[[Path], None]
    ) -> StoredFolder:
        del epoch
        taken = self.root / job_id / f"0-{step}"
        if taken.exists():
            shutil.rmtree(taken)
            time.sleep(SLOW_DISK_SECONDS)
        return write(self, job_id, 0, step, save)

    _replace_write(write_shared)


def in_place_write() -> None:
    """An attempt has one folder, and writes each checkpoint over the one before."""

    def write_in_place(
        self: ArtifactFolder, job_id: str, epoch: int, step: int, save: Callable[[Path], None]
    ) -> StoredFolder:
        del step
        folder = self.root / job_id / f"{epoch}-0"
        folder.mkdir(parents=True, exist_ok=True)
        save(folder)
        files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        return StoredFolder(
            folder=f"{job_id}/{folder.name}",
            size_bytes=sum(path.stat().st_size for path in folder.iterdir()),
            sha256=manifest_hash(files),
            files=files,
            format_version=FORMAT_VERSION,
        )

    _replace_write(write_in_place)


def late_ack() -> None:
    """A bell is acknowledged when its job has ended, and comes again after two seconds."""
    settings = store.doorbell.celery_settings

    def late(broker_url: str) -> dict[str, Any]:
        changed = settings(broker_url)
        changed["task_acks_late"] = True
        (queue,) = changed["task_queues"]
        queue.no_ack = False
        changed["broker_transport_options"] |= {
            "visibility_timeout": 2,
            "unacked_restore_interval": 1,
        }
        return changed

    store.doorbell.celery_settings = late


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _replace_write(write: Callable[..., StoredFolder]) -> None:
    """Here and in the trainer, which is a process of its own. Nor does the supervisor look any more
    whether a folder is named as it must be."""
    from worker.handin import HandIn
    from worker.supervisor import Supervisor

    def stored(_self: HandIn, body: dict[str, Any]) -> StoredFolder:
        return StoredFolder(**body["stored"])

    setattr(HandIn, "_stored", stored)  # noqa: B010
    setattr(ArtifactFolder, "write", write)  # noqa: B010
    setattr(Supervisor.__init__, "__defaults__", (TRAINER,))  # noqa: B010


SABOTAGES: Mapping[str, Callable[[], None]] = {
    "no_fencing": no_fencing,
    "shared_file_name": shared_file_name,
    "in_place_write": in_place_write,
    "late_ack": late_ack,
}
