"""What an attempt begins with: its job's newest checkpoint, another job's, or nothing."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from store.artifacts import CheckpointCorrupt, require_space
from store.checkpoint_files import CheckpointFiles
from store.database import Database
from store.init_from_spec import InitFromSpec
from store.ownership import Claim, resumable_checkpoints
from store.results import record_warning
from store.spec import JobSpec
from store.states import Reason
from store.storage import Artifacts
from store.tables import Checkpoint
from store.warm_start import source_of

logger = logging.getLogger(__name__)


class NoBeginning(Exception):
    """A job that has trained, or that was to begin with another's checkpoint, must not silently
    start from nothing."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """One of `checkpoint` and `source` at most, whose files are in `folder`."""

    checkpoint: Checkpoint | None = None  # its own
    source: Checkpoint | None = None  # another job's
    folder: Path | None = None

    @property
    def resume_from(self) -> str | None:
        return None if self.checkpoint is None else str(self.folder)

    @property
    def begin_from(self) -> str | None:
        return None if self.source is None else str(self.folder)

    @property
    def files(self) -> CheckpointFiles | None:
        """Those of its own that it may share."""
        return None if self.checkpoint is None else CheckpointFiles.of(self.checkpoint)


class Beginnings:
    def __init__(self, database: Database, artifacts: Artifacts, reserve_bytes: int) -> None:
        self._database = database
        self._artifacts = artifacts
        self._reserve_bytes = reserve_bytes

    def find(self, claim: Claim, spec: JobSpec, uses: ExitStack) -> Beginning:
        """What it needs stays on this host while `uses` lasts. Raises `NoBeginning`."""
        with self._database.read() as session:
            own = resumable_checkpoints(session, claim)
        if own:
            return self._newest_readable(claim, own)
        if spec.init_from is not None:
            return self._source(claim, spec.init_from, uses)
        self._require_space(0)
        return Beginning()

    def _newest_readable(self, claim: Claim, own: list[Checkpoint]) -> Beginning:
        """Whose files are what the database says they are."""
        self._require_space(own[0].size_bytes)
        for checkpoint in own:
            try:
                files = CheckpointFiles.of(checkpoint)
                folder = self._artifacts.resume(files, claim.epoch)
            except CheckpointCorrupt as error:
                logger.error("checkpoint %s is corrupt: %s", checkpoint.id, error)
                text = f"The checkpoint of step {checkpoint.step} is corrupt and was passed over"
                record_warning(self._database, claim, f"{text}: {error}")
            else:
                return Beginning(checkpoint=checkpoint, folder=folder)
        raise NoBeginning(
            Reason.CHECKPOINT_CORRUPT,
            f"None of the {len(own)} training checkpoints can be read any more; "
            f"the newest was of step {own[0].step}.",
        )

    def _source(self, claim: Claim, begins: InitFromSpec, uses: ExitStack) -> Beginning:
        named = f"{begins.checkpoint_id} of {begins.job_id}"
        with self._database.read() as session:
            source = source_of(session, begins)
        if source is None:
            text = f"{named}, with which it was to begin (init_from), is gone."
            raise NoBeginning(Reason.SOURCE_GONE, text)
        files = CheckpointFiles.of(source)
        self._require_space(source.size_bytes)
        uses.enter_context(self._artifacts.using(files.job_id))
        try:
            folder = self._artifacts.resume(files, claim.epoch)
        except CheckpointCorrupt as error:
            text = f"{named}, with which it was to begin (init_from), cannot be read: {error}."
            raise NoBeginning(Reason.SOURCE_GONE, text) from error
        return Beginning(source=source, folder=folder)

    def _require_space(self, last_size: int) -> None:
        self._artifacts.root.mkdir(parents=True, exist_ok=True)
        require_space(self._artifacts.root, last_size, self._reserve_bytes)
