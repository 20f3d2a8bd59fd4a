"""Rows that have had their time go, and then their files; what might be needed stays."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from store.artifacts import ArtifactFolder
from store.database import Database
from store.deletion import delete_job
from store.garbage import STRAY_SECONDS
from store.lifecycle import cancel_job
from store.ownership import Claim
from store.results import record_training_checkpoint
from store.settings import Settings
from store.tables import Job
from tests.store.acting import release, running
from worker import collector
from worker.collector import Collector

UNKNOWN = "job_" + "0" * 32


def _write(settings: Settings, job_id: str, step: int) -> Path:
    def save(folder: Path) -> None:
        (folder / "state.json").write_text(f"step {step}")

    folder = ArtifactFolder(settings.artifact_dir).write(job_id, 1, step, save).folder
    return settings.artifact_dir / folder


def _age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def _environment(settings: Settings, broker_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "MRQ_DATA_DIR": str(settings.data_dir),
        "MRQ_DATABASE_URL": settings.database_url,
        "MRQ_BROKER_URL": broker_url,
    }


def _ended(database: Database, claimed: Claim) -> None:
    release(database, claimed)
    cancel_job(database, claimed.job_id)


@pytest.fixture
def claimed(database: Database, settings: Settings) -> Claim:
    settings.artifact_dir.mkdir(parents=True)
    return running(database, settings)


def test_an_old_stray_of_a_job_that_is_known_goes_and_nothing_else(
    database: Database, settings: Settings, claimed: Claim
) -> None:
    kept = _write(settings, claimed.job_id, 100)
    stored = ArtifactFolder(settings.artifact_dir).write(claimed.job_id, 1, 300, _nothing)
    record_training_checkpoint(database, claimed, 300, stored, keep=2)
    named = settings.artifact_dir / stored.folder
    stray = _write(settings, claimed.job_id, 200)
    unknown = _write(settings, UNKNOWN, 100)
    _ended(database, claimed)
    for path in (stray, unknown, named):
        _age(path, STRAY_SECONDS + 60)
    _age(kept, STRAY_SECONDS - 60)
    Collector(database, settings).turn()
    assert not stray.exists()
    assert named.exists(), "a row names it"
    assert kept.exists(), "it is younger than a day"
    assert unknown.exists(), "this may be another database's folder"


def _nothing(folder: Path) -> None:
    (folder / "state.json").write_text("{}")


def test_what_a_running_owner_may_be_writing_stays(
    database: Database, settings: Settings, claimed: Claim
) -> None:
    path = _write(settings, claimed.job_id, 100)
    _age(path, STRAY_SECONDS + 60)
    Collector(database, settings).turn()
    assert path.exists()


def test_the_files_of_a_purged_job_go_with_it(
    database: Database, settings: Settings, claimed: Claim
) -> None:
    path = _write(settings, claimed.job_id, 100)
    other = _write(settings, UNKNOWN, 100)
    _ended(database, claimed)
    delete_job(database, claimed.job_id)
    Collector(database, settings).turn()
    assert path.exists(), "it may be restored"
    with database.write() as session:
        session.execute(update(Job).values(deleted_at=1))
    Collector(database, settings).turn()
    assert not path.parent.exists()
    assert other.exists()


@pytest.mark.parametrize("error", [OSError("what went wrong"), ValueError("what went wrong")])
def test_a_fault_is_told_and_the_next_turn_comes(
    error: Exception,
    database: Database,
    settings: Settings,
    claimed: Claim,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class AfterTwoTurns(threading.Event):
        waited = 0

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout == collector.RETIRE_SECONDS
            self.waited += 1
            return self.waited == 2

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(collector, "find_strays", broken)
    ended = AfterTwoTurns()
    Collector(database, settings).run(ended)
    assert ended.waited == 2
    assert caplog.text.count("what went wrong") >= 2


def test_the_reconcilers_process_does_it(
    database: Database, settings: Settings, claimed: Claim, valkey_url: str
) -> None:
    stray = _write(settings, claimed.job_id, 100)
    _ended(database, claimed)
    _age(stray, STRAY_SECONDS + 60)
    environment = _environment(settings, valkey_url)
    process = subprocess.Popen([sys.executable, "-m", "worker.reconciler"], env=environment)
    try:
        late = time.monotonic() + 60
        while stray.exists():
            assert time.monotonic() < late, "it does not collect"
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(20) == 0, "it ends when it is told to"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reconciler_that_dies_of_a_defect_does_not_live_on_in_its_other_thread(
    database: Database, settings: Settings, valkey_url: str
) -> None:
    """Whoever watches it could not start it again."""
    program = (
        "from worker import reconciler\n"
        "def turn(self):\n    raise TypeError('a defect')\n"
        "reconciler.Reconciler.turn = turn\n"
        "reconciler.main()\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(settings, valkey_url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == 1
    assert "a defect" in died.stderr
