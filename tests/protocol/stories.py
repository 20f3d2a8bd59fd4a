"""The life of one job, told by one process that may fail, and by a fresh one that goes on."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sqlalchemy import make_url, select, update
from sqlalchemy.exc import DBAPIError

from store.artifacts import ArtifactFolder
from store.database import Database
from store.doorbell import CeleryDoorbell, DoorbellSilent
from store.errors import TransitionRefused
from store.garbage import damaged_checkpoints, find_garbage, remove_garbage
from store.invariants import broken_invariants
from store.jobs import get_job, submit_job
from store.lifecycle import cancel_job, retry_job
from store.ownership import claim_next
from store.series import effective_evaluations, metric_names, read_series
from store.settings import Settings
from store.states import TERMINAL, JobStatus
from store.tables import Attempt, Checkpoint, Job
from tests.protocol import counting_trainer
from tests.protocol.clock import engines
from tests.protocol.faults import FIRED, Fault, Points, install
from tests.protocol.forking import ForkedTrainer, exit_code, run_in_fork
from tests.protocol.world import REPORT_EVERY, short_spec
from worker import handin, outbox, trainer_process
from worker.reconciler import Reconciler
from worker.supervisor import Supervisor

STEPS, WAITS_AT = 125, 60
PATIENCE_SECONDS = 60
UNTOUCHED = ["lost", "released", "succeeded"]  # attempts


@dataclass(frozen=True)
class Place:
    database: Database  # its statements are compiled already; a fork inherits that
    broker_url: str
    data_dir: Path
    lease_seconds: float = 60.0

    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "data_dir": self.data_dir,
                "database_url": self.database.url,
                "broker_url": self.broker_url,
                "api_key": "a-key-for-tests-only",
                "lease_seconds": self.lease_seconds,
                "heartbeat_seconds": self.lease_seconds / 6,
                "reap_seconds": 0.05,
                "backoff_seconds": 0.05,
                "storage_wait_seconds": 0.05,
                "job_memory_bytes": 8 << 30,
            }
        )


@contextmanager
def quick(train: Callable[[], int]) -> Iterator[None]:
    """Trainers are forked and do `train`, and what waits waits less."""
    forked = type("Forked", (ForkedTrainer,), {"main": staticmethod(train)})
    popen = SimpleNamespace(Popen=forked, PIPE=None, STDOUT=None)
    with (
        patch.object(trainer_process, "subprocess", popen),
        patch.object(outbox, "RETRY_SECONDS", 0.05),
        patch.object(handin, "PROGRESS_SECONDS", 0.0),
    ):
        yield


class Story:
    def __init__(self, place: Place, points: Points) -> None:
        self.settings = place.settings()
        self.database = place.database
        self._doorbell = CeleryDoorbell(self.settings.broker_url.get_secret_value())
        self._reconciler = Reconciler(self.database, self.settings, self._doorbell)
        self._trainer_waits = False
        self._points = points

    def submit(self) -> str:
        """With one key, as often as it takes."""
        spec = short_spec(STEPS)
        return submit_job(self.database, spec, idempotency_key="once", body=b"it")[0].id

    def tell(self) -> int:
        """Everything that can happen to a job, up to its good end."""
        job_id = self.submit()
        cancel_job(self.database, job_id)
        retry_job(self.database, job_id)
        self._an_owner_dies()
        for _ in range(2):  # reaps it, and rings when its pause is over
            self._reconcile()
            time.sleep(0.1)
        self._one_is_drained(job_id)
        return self.go_on()

    def go_on(self) -> int:
        job_id = self.submit()
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            job = self.job(job_id)
            if job.status == JobStatus.SUCCEEDED:
                return 0
            if job.status in TERMINAL:
                assert job.status == JobStatus.CANCELLED, f"{job.reason}: {job.message}"
                with suppress(TransitionRefused):  # another one did
                    retry_job(self.database, job_id)
            time.sleep(0.06)  # reap_seconds and backoff_seconds
            self._reconcile()
            with suppress(DBAPIError):  # of a claim, which the next bell tries again
                self._supervisor(lambda: False).run_next()
        return 1

    def _an_owner_dies(self) -> None:
        claim_next(self.database, self.settings, "dead", "host1")
        let_leases_run_out(self.database)

    def _reconcile(self) -> None:
        try:
            self._reconciler.turn()
        except (DBAPIError, DoorbellSilent):  # as `Reconciler.run`: tries again in a moment
            time.sleep(0.06)

    def _one_is_drained(self, job_id: str) -> None:
        """In the middle of its training, where its trainer waits for that."""
        self._trainer_waits = True
        self._supervisor(lambda: self.job(job_id).step >= WAITS_AT - REPORT_EVERY).run_next()
        self._trainer_waits = False

    def _supervisor(self, draining: Any) -> Supervisor:
        return Supervisor(self.database, self.settings, "w1", draining)

    def train(self) -> int:
        """In a fork of its own."""
        self._points.become("trainer" if self._trainer_waits else "second trainer")
        return counting_trainer.main(WAITS_AT if self._trainer_waits else None)

    def job(self, job_id: str) -> Job:
        with self.database.read() as session:
            return get_job(session, job_id)


def let_leases_run_out(database: Database) -> None:
    with database.write() as session:
        mine = Job.status == JobStatus.RUNNING
        session.execute(update(Job).where(mine).values(lease_until=1))


def tell_in_a_process(place: Place, fault: Fault | None) -> int:
    """Its pid."""

    def body() -> int:
        story = Story(place, install(fault, place.data_dir))
        with quick(story.train):
            return story.tell()

    return run_in_fork(partial(_alone, place, body))


def go_on_in_a_process(place: Place) -> int:
    def body() -> int:
        story = Story(place, Points(None, place.data_dir))
        with quick(story.train):
            return story.go_on()

    return run_in_fork(partial(_alone, place, body))


def warm_up(place: Place) -> None:
    story = Story(place, Points(None, place.data_dir))
    with quick(story.train):
        story.tell()


def _alone(place: Place, body: Callable[[], int]) -> int:
    """With connections of its own, and its output beside the job's data."""
    for engine in engines(place.database):
        engine.dispose(close=False)
    log = os.open(place.data_dir / "story.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return body()


def disturbed(place: Place, fault: Fault | None) -> tuple[str | None, dict[str, Any]]:
    """Told with the fault, and gone on with without. Returns the point that failed, None if there
    was none that far, and what there is at the end."""
    exit_code(tell_in_a_process(place, fault))
    let_leases_run_out(place.database)
    code = exit_code(go_on_in_a_process(place))
    assert code == 0, (place.data_dir / "story.log").read_text()[-4000:]
    fired = place.data_dir / FIRED
    if fired.exists():
        return fired.read_text(), outcome(place)
    with place.database.read() as session:
        ended = list(session.scalars(select(Attempt.status).order_by(Attempt.number)))
    assert ended == UNTOUCHED, "it was not told as always, so the point may have been missed"
    return None, outcome(place)


def overtaken(place: Place, fault: Fault) -> tuple[str, dict[str, Any]]:
    """Told with a delay at which another process takes over, before the first one wakes."""
    late = tell_in_a_process(place, fault)
    fired = place.data_dir / FIRED
    until = time.monotonic() + PATIENCE_SECONDS
    while not fired.exists():
        assert time.monotonic() < until, f"never came to {fault.label}"
        time.sleep(0.01)
    rival = go_on_in_a_process(place)
    exit_code(late)  # whatever it makes of having been overtaken
    assert exit_code(rival) == 0, (place.data_dir / "story.log").read_text()[-4000:]
    return fired.read_text(), outcome(place)


def outcome(place: Place) -> dict[str, Any]:
    """What must be the same, however it came about; and what must hold in any case."""
    settings, database = place.settings(), place.database
    assert broken_invariants(database, settings) == []
    assert list(damaged_checkpoints(database, settings)) == []
    _require_no_garbage(database, settings)
    if database.is_sqlite:
        with sqlite3.connect(str(make_url(database.url).database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    with database.read() as session:
        (job,) = session.query(Job).all()
        return {
            "status": job.status,
            "weights": job.weights_sha256,
            "step": job.step,
            "best": job.best_return,
            "curves": {
                name: list(read_series(session, job, name, max_points=10_000).points)
                for name in metric_names(session, job)
            },
            "evaluations": [(e.step, e.return_mean) for e in effective_evaluations(session, job)],
        }


def _require_no_garbage(database: Database, settings: Settings) -> None:
    """After garbage collection every folder has a row, and every row was read above."""
    artifacts = ArtifactFolder(settings.artifact_dir)
    for found in list(artifacts.folders()):
        os.utime(settings.artifact_dir / found.folder, (1, 1))
    remove_garbage(settings, find_garbage(database, settings))
    left = {each.folder for each in artifacts.folders()}
    with database.read() as session:
        named = {c.folder for c in session.query(Checkpoint) if c.folder is not None}
    assert left == named
