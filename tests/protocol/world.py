"""The real store and the model side by side: what is done to one is done to the other."""

import os
import shutil
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from store.artifacts import ArtifactFolder
from store.database import Database
from store.endings import reap_expired
from store.errors import Fenced
from store.garbage import find_garbage, remove_garbage
from store.invariants import REPORTED_ALWAYS, broken_invariants
from store.ownership import Claim
from store.results import MetricRow
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Table
from tests.protocol.clock import FakeClock
from tests.protocol.model import LEASE_MS, Made, ModelJob, NotTheOwner
from tests.protocol.observing import Observer
from tests.store.acting import BODY

T = TypeVar("T")

NOON = 1_700_000_000_000
REPORT_EVERY = 25  # steps, as `store.spec.log_every_steps` says for short jobs
REAP_MS = 5_000


@dataclass
class Hold:
    """What a worker believes to own, and how far its trainer is."""

    worker: str
    claim: Claim
    job: ModelJob
    started: bool = False
    step: int = 0
    told: list[int] = field(default_factory=list)
    evaluated: set[int] = field(default_factory=set)


class Bells:
    """A broker that does as the test says."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, job_id: str) -> None:
        self.rung.append(job_id)

    def waiting(self) -> int:
        return len(self.rung)


class World:
    def __init__(self, database: Database, settings: Settings, clock: FakeClock) -> None:
        self.database = database
        self.settings = settings
        self.clock = clock
        self.clock.now = NOON
        self.bells = Bells()
        self.jobs: dict[str, ModelJob] = {}  # in order of submission
        self.folders: dict[str, int] = {}  # that must be on disk -> when they were written
        self.reconciled_at = NOON
        self._observer = Observer(database)
        self._read: dict[int, object] = {}  # what was read of a job the last time
        self.artifacts = ArtifactFolder(settings.artifact_dir)
        empty(database)
        shutil.rmtree(settings.artifact_dir, ignore_errors=True)

    @property
    def now(self) -> int:
        return self.clock.now

    def add(self, job_id: str, total_steps: int) -> None:
        self.jobs[job_id] = ModelJob(number=len(self.jobs) + 1, total_steps=total_steps)

    def as_owner(self, hold: Hold, predict: Callable[[int], object], write: Callable[[], T]) -> T:
        """`write` under the hold's claim: taken or refused as the model predicts."""
        try:
            predict(hold.claim.epoch)
        except NotTheOwner:
            with pytest.raises(Fenced):
                write()
            raise
        return write()

    def predict_reap(self) -> int:
        return sum([job.reap(self.now) for job in self.jobs.values()])

    def reap(self) -> None:
        reaped = self.predict_reap()
        assert reap_expired(self.database, self.settings) == reaped

    # Files.

    def write_folder(self, hold: Hold, step: int) -> Any:
        def save(folder: Path) -> None:
            (folder / "state").write_text(f"{hold.claim.job_id} {step}")

        stored = self.artifacts.write(hold.claim.job_id, hold.claim.epoch, step, save)
        self.folders[stored.folder] = self.now
        return stored

    def remove_folders(self, hold: Hold, made: set[Made]) -> None:
        for each in made:
            folder = folder_name(hold.claim.job_id, each)
            self.artifacts.remove(folder)
            del self.folders[folder]

    def sweep(self, hold: Hold) -> None:
        """As the supervisor does when it has started."""
        job_id, epoch = hold.claim.job_id, hold.claim.epoch
        named = self._named()
        self.artifacts.sweep(job_id, named=named, epoch=epoch)
        for folder in [*self.folders]:
            earlier = folder.startswith(f"{job_id}/") and epoch_of(folder) < epoch
            if earlier and folder not in named:
                del self.folders[folder]

    def collect_garbage(self) -> None:
        """The files' times are the host's own: they are made as old as the fake clock says."""
        for folder, written in self.folders.items():
            aged = time.time() - (self.now - written) / 1000
            os.utime(self.settings.artifact_dir / folder, (aged, aged))
        garbage = {folder for folder in self.folders if self._is_garbage(folder)}
        found = find_garbage(self.database, self.settings)
        assert {each.folder for each in found} == garbage
        remove_garbage(self.settings, found)
        for folder in garbage:
            del self.folders[folder]

    def _is_garbage(self, folder: str) -> bool:
        job = self.jobs[folder.split("/")[0]]
        owned = job.status == "running" and job.epoch <= epoch_of(folder)
        old = self.now - self.folders[folder] > 2 * LEASE_MS
        return old and not owned and folder not in self._named()

    def _require_same_reading(self, job: ModelJob) -> None:
        """Again only when something should have changed: reading a curve takes longest."""
        predicted = (job.epoch, [*job.tries], job.curve[-1:], job.evaluations())
        if self._read.get(job.number) != predicted:
            assert self._observer.curve(job.number) == job.curve
            assert self._observer.evaluations(job.number) == job.evaluations()
            self._read[job.number] = deepcopy(predicted)

    def _named(self) -> set[str]:
        return {folder_name(i, made) for i, job in self.jobs.items() for made in job.training}

    # Comparing.

    def require_agreement(self) -> None:
        found = broken_invariants(self.database, self.settings)
        # I6 and I7 are promises of a reconciler that takes its turns.
        awake = self.now - self.reconciled_at <= REAP_MS
        broken = [each for each in found if awake or each.invariant not in ("I6", "I7")]
        assert not broken, broken
        for row, job in zip(self._observer.rows(), self.jobs.values(), strict=True):
            differing = {k: (v, job.row()[k]) for k, v in row.items() if v != job.row()[k]}
            assert not differing, f"job {job.number}, (found, predicted): {differing}"
            self._require_same_reading(job)
        assert {each.folder for each in self.artifacts.folders()} == set(self.folders)
        assert self._named() <= set(self.folders), "a row names a folder that is gone"


def folder_name(job_id: str, made: Made) -> str:
    return f"{job_id}/{made.attempt}-{made.step}"


def epoch_of(folder: str) -> int:
    return int(folder.split("/")[1].split("-")[0])


def metric_rows(steps: list[int]) -> list[MetricRow]:
    return [MetricRow(step=step, values={REPORTED_ALWAYS: float(step)}) for step in steps]


def short_spec(total_steps: int) -> JobSpec:
    algorithm = {"hyperparameters": {"warmup_steps": 1}}
    return JobSpec.model_validate(
        BODY | {"budget": {"total_steps": total_steps}, "algorithm": algorithm}
    )


def empty(database: Database) -> None:
    with database.engine.begin() as connection:
        for table in reversed(Table.metadata.sorted_tables):
            connection.exec_driver_sql(f"DELETE FROM {table.name}")
        if not database.is_sqlite:
            connection.exec_driver_sql("ALTER SEQUENCE jobs_number_seq RESTART")
