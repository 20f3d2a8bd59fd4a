"""Files beside rows: what the rows name must be there, what they do not name is garbage."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.artifacts import CheckpointCorrupt
from store.checkpoint_files import CheckpointFiles, training_names
from store.database import Database
from store.dataset_files import DatasetDamaged, file_name, open_dataset_files
from store.invariants import Finding
from store.settings import Settings
from store.states import CheckpointKind, JobStatus
from store.storage import open_artifacts
from store.tables import Checkpoint, Dataset, Job

# Of what is removed without anybody having looked at it.
STRAY_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Garbage:
    folder: str  # relative to the artifact folder, or an object's name
    size_bytes: int
    job_id: str | None  # of a checkpoint; a dataset has none
    modified_at: float


def find_garbage(database: Database, settings: Settings) -> list[Garbage]:
    """Folders, or objects, that no row names, that nobody can still be writing, and older than two
    leases: the row of a checkpoint comes after its folder."""
    # Before the rows are read: what is newer may have got its row since.
    folders = list(open_artifacts(settings).stored())
    oldest = time.time() - 2 * settings.lease_seconds
    with database.read() as session:
        running = select(Job.id, Job.epoch).where(Job.status == JobStatus.RUNNING)
        epochs = dict(session.execute(running).all())
        named = training_names(session)
    return [
        Garbage(
            folder=each.folder,
            size_bytes=each.size_bytes,
            job_id=each.job_id,
            modified_at=each.modified_at,
        )
        for each in folders
        if each.folder not in named
        and each.modified_at < oldest
        and not (each.job_id in epochs and epochs[each.job_id] <= each.epoch)  # its owner's
    ] + _stray_datasets(database, settings, oldest)


def _stray_datasets(database: Database, settings: Settings, oldest: float) -> list[Garbage]:
    """What an upload or a deletion left that did not come to its end."""
    found = list(open_dataset_files(settings).stored())
    with database.read() as session:
        rows = session.execute(select(Dataset.sha256, Dataset.id))
        named = {file_name(sha256, identity) for sha256, identity in rows}
    return [
        Garbage(
            folder=each.name,
            size_bytes=each.size_bytes,
            job_id=None,
            modified_at=each.modified_at,
        )
        for each in found
        if each.name not in named and each.modified_at < oldest
    ]


def find_strays(database: Database, settings: Settings) -> list[Garbage]:
    """Garbage that may go without a look: older than a day, and of jobs that this database knows.
    In the folder of another database all is garbage, and nothing tells whose a dataset is."""
    oldest = time.time() - STRAY_SECONDS
    old = [each for each in find_garbage(database, settings) if each.modified_at < oldest]
    with database.read() as session:
        known = {e.job_id for e in old if e.job_id is not None and _is_known(session, e.job_id)}
    return [each for each in old if each.job_id in known]


def _is_known(session: Session, job_id: str) -> bool:
    return session.scalar(select(Job.number).where(Job.id == job_id)) is not None


def remove_garbage(settings: Settings, garbage: list[Garbage]) -> None:
    artifacts, datasets = open_artifacts(settings), open_dataset_files(settings)
    for each in garbage:
        if each.job_id is None:
            datasets.remove(each.folder)
        else:
            artifacts.remove_stray(each.folder)


def damaged_checkpoints(database: Database, settings: Settings) -> Iterator[Finding]:
    """Reads every training checkpoint that a row names: I4 for files, bit by bit."""
    artifacts = open_artifacts(settings)
    with database.read() as session:
        found = _training_checkpoints(session)
    for job_id, checkpoint in found:
        try:
            artifacts.check(CheckpointFiles.of(checkpoint))
        except CheckpointCorrupt as error:
            if _is_gone(database, checkpoint):
                continue  # its job went on meanwhile and removed it
            yield Finding(
                invariant="I4",
                job_id=job_id,
                text=f"checkpoint {checkpoint.id} of step {checkpoint.step}: {error}",
                advice="its job falls back to the one before; see to the disk",
            )


def damaged_datasets(database: Database, settings: Settings) -> Iterator[Finding]:
    """Reads every dataset that a row names, where it is kept."""
    files = open_dataset_files(settings)
    with database.read() as session:
        found = session.scalars(select(Dataset).order_by(Dataset.id)).all()
    for dataset in found:
        try:
            files.check(file_name(dataset.sha256, dataset.id))
        except DatasetDamaged as error:
            with database.read() as session:
                if session.get(Dataset, dataset.id) is None:
                    continue  # deleted meanwhile
            yield Finding(
                invariant="I4",
                job_id=dataset.id,
                text=f"dataset {dataset.name}:{dataset.version}: {error}",
                advice="its jobs fail; see to the disk, and upload the file once more under this "
                "name, which puts it back",
            )


def _training_checkpoints(session: Session) -> list[tuple[str, Checkpoint]]:
    query = (
        select(Job.id, Checkpoint)
        .join(Job, Job.number == Checkpoint.job_number)
        .where(Checkpoint.kind == CheckpointKind.TRAINING)
        .order_by(Checkpoint.job_number, Checkpoint.step)
    )
    return [(job_id, checkpoint) for job_id, checkpoint in session.execute(query)]


def _is_gone(database: Database, checkpoint: Checkpoint) -> bool:
    with database.read() as session:
        return session.get(Checkpoint, checkpoint.id) is None
