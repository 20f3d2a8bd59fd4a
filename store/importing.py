"""A checkpoint that came over HTTP becomes a job that has ended, without an attempt.

As with an attempt's checkpoint, the row is committed after the files are safe: what is interrupted
in between leaves files without a row, which `mrq gc` removes.
"""

import errno
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.orm import Session

from store.artifacts import NO_ATTEMPT, StoredFolder, manifest_hash
from store.checkpoint_files import CheckpointFiles, insert_training_checkpoint
from store.clock import now_ms
from store.database import Database
from store.errors import StorageUnreachable
from store.events import append_event
from store.idempotency import find_earlier, once
from store.ids import new_id
from store.imported_checkpoint import ImportedCheckpoint, examine
from store.jobs import insert_job
from store.spec import JobSpec
from store.states import JobStatus, Reason
from store.storage import Artifacts
from store.storage_faults import CHECKPOINT, storage_told
from store.tables import Job

logger = logging.getLogger(__name__)

SPEC = "spec"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What a request brought: files in a folder of its own, and the hash of everything by name."""

    job_id: str  # of the job that is to be made of it
    folder: Path
    hashes: Mapping[str, str]  # that of the spec, too, which is no file

    @property
    def names(self) -> set[str]:
        return {*self.hashes} - {SPEC}

    @property
    def identity(self) -> bytes:
        """The same for the same content, however its parts were ordered and divided."""
        return manifest_hash(self.hashes).encode()


def import_checkpoint(
    database: Database,
    artifacts: Artifacts,
    spec: JobSpec,
    upload: Upload,
    *,
    idempotency_key: str | None = None,
) -> tuple[Job, bool]:
    """Returns the job and whether it is new, as `once` does. Nothing is stored of what is refused:
    see `examine`."""
    earlier = find_earlier(database, idempotency_key, upload.identity)
    if earlier is not None:
        return earlier, False
    found = examine(upload.folder, upload.names, spec, lambda: os.utime(upload.folder))
    with storage_told(CHECKPOINT):
        stored = artifacts.take_in(upload.job_id, found.step, _moving(upload))
    _require_as_received(artifacts, stored, upload)

    def make(session: Session) -> Job:
        return _insert(session, spec, upload.job_id, found, stored)

    # Not removed on an exception: who knows whether the commit came through? Without a row it is
    # garbage, and a row without its files would be a loss.
    job, is_new = once(database, idempotency_key, upload.identity, make)
    if not is_new:  # another request with this key was faster
        _discard(artifacts, stored)
    return job, is_new


def _moving(upload: Upload) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        for name in sorted(upload.names):
            (upload.folder / name).rename(folder / name)

    return save


def _require_as_received(artifacts: Artifacts, stored: StoredFolder, upload: Upload) -> None:
    """It was hashed on its way in and again from the disk, after it was checked there."""
    for name, sha256 in stored.files.items():
        if sha256 != upload.hashes[name]:
            _discard(artifacts, stored)
            raise OSError(errno.EIO, "not what was received", str(upload.folder / name))


def _discard(artifacts: Artifacts, stored: StoredFolder) -> None:
    try:
        artifacts.remove(CheckpointFiles.stored(stored).names)
    except StorageUnreachable:
        logger.warning("%s is left for `mrq gc`", stored.folder)


def _insert(
    session: Session, spec: JobSpec, job_id: str, found: ImportedCheckpoint, stored: StoredFolder
) -> Job:
    """Queued for no longer than this transaction: nobody sees it so."""
    job = insert_job(session, spec, job_id=job_id)
    identity = new_id("ckpt")
    insert_training_checkpoint(
        session,
        identity,
        stored,
        job_number=job.number,
        attempt=NO_ATTEMPT,
        step=found.step,
        episodes=found.episodes,
    )
    ended = {"status": JobStatus.SUCCEEDED, "reason": Reason.IMPORTED}
    session.execute(
        update(Job)
        .where(Job.number == job.number)
        .values(
            **ended,
            step=found.step,
            best_return=found.best_return,
            # Weights alone: there is nothing to go on from.
            resume_checkpoint_id=identity if found.resumable else None,
            finished_at=now_ms(),
        )
        .execution_options(synchronize_session=False)
    )
    append_event(session, job.number, "status", ended)
    session.refresh(job)
    return job
