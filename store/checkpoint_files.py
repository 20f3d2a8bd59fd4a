"""The files of a training checkpoint, as its row names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from store.artifacts import StoredFolder
from store.clock import now_ms
from store.errors import NotFound
from store.events import append_event
from store.ids import require_storable
from store.states import CheckpointKind
from store.tables import Checkpoint, Job


@dataclass(frozen=True, kw_only=True)
class CheckpointFiles:
    folder: str  # JOB/EPOCH-STEP
    hashes: Mapping[str, str]  # by name, as the others
    sizes: Mapping[str, int]  # empty in rows of releases that did not store them
    epochs: Mapping[str, int]  # of the attempts that uploaded them; empty: in a local folder

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Self:
        assert checkpoint.folder is not None
        return cls._from(checkpoint.folder, checkpoint.manifest)

    @classmethod
    def stored(cls, stored: StoredFolder) -> Self:
        return cls._from(stored.folder, manifest_of(stored))

    @classmethod
    def _from(cls, folder: str, manifest: Mapping[str, Any]) -> Self:
        return cls(
            folder=folder,
            hashes=manifest["files"],
            sizes=manifest.get("sizes", {}),
            epochs=manifest.get("epochs", {}),
        )

    @property
    def job_id(self) -> str:
        return self.folder.partition("/")[0]

    def object_of(self, name: str) -> str:
        """Where it is in the object store. Named by its content and by the attempt that wrote it:
        nobody can put anything else there, and nobody else puts the same there."""
        return f"{self.job_id}/files/{self.epochs[name]}-{self.hashes[name]}"

    @property
    def names(self) -> set[str]:
        """All that must stay where it is as long as the row does."""
        return {self.folder, *(self.object_of(name) for name in self.epochs)}


def manifest_of(stored: StoredFolder) -> dict[str, Any]:
    return {"files": stored.files, "sizes": stored.sizes, "epochs": stored.epochs}


def training_files(session: Session, job_number: int) -> list[CheckpointFiles]:
    """Newest first."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.job_number == job_number, Checkpoint.kind == CheckpointKind.TRAINING)
        .order_by(Checkpoint.attempt.desc(), Checkpoint.step.desc())
    )
    return [CheckpointFiles.of(checkpoint) for checkpoint in session.scalars(query)]


def training_names(session: Session, job_number: int | None = None) -> set[str]:
    """All that the rows name, of one job or of all."""
    query = select(Checkpoint).where(Checkpoint.kind == CheckpointKind.TRAINING)
    if job_number is not None:
        query = query.where(Checkpoint.job_number == job_number)
    rows = session.scalars(query)
    return {name for checkpoint in rows for name in CheckpointFiles.of(checkpoint).names}


def find_checkpoint(session: Session, job: Job, checkpoint_id: str) -> Checkpoint:
    require_storable("checkpoint", checkpoint_id)
    checkpoint = session.get(Checkpoint, checkpoint_id)
    if checkpoint is None or checkpoint.job_number != job.number:
        raise NotFound("checkpoint", checkpoint_id)
    return checkpoint


def insert_training_checkpoint(
    session: Session,
    identity: str,
    stored: StoredFolder,
    *,
    job_number: int,
    attempt: int,
    step: int,
    **manifest: Any,
) -> None:
    """With its event. `manifest`: what it says beside its files."""
    session.execute(
        insert(Checkpoint).values(
            id=identity,
            job_number=job_number,
            attempt=attempt,
            step=step,
            kind=CheckpointKind.TRAINING,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            format_version=stored.format_version,
            manifest=manifest_of(stored) | manifest,
            folder=stored.folder,
            created_at=now_ms(),
        )
    )
    data = {"step": step, "checkpoint_id": identity, "kind": CheckpointKind.TRAINING}
    append_event(session, job_number, "checkpoint", data, attempt=attempt)
