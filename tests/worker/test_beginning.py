"""What an attempt begins with: files of another job, on this host or from a bucket, or none."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from store.database import Database
from store.events import read_events
from store.jobs import get_job, list_attempts, submit_job
from store.settings import Settings
from store.spec import JobSpec
from store.states import JobStatus, Reason
from store.tables import Attempt, Checkpoint, Job
from tests.buckets import Bucket
from worker.supervisor import Supervisor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SCRIPTED = "tests.worker.scripted_trainer"
BEGAN = 'began with {"step": 50}'


@pytest.fixture
def quick(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(backoff_seconds=0.0, disk_reserve_bytes=0)


def _submit(database: Database, name: str, **changes: Any) -> str:
    spec = {"name": name, "environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 100}}
    return submit_job(database, JobSpec.model_validate(spec | changes))[0].id


def _run(database: Database, settings: Settings) -> None:
    time.sleep(0.02)
    Supervisor(database, settings, "test-worker", lambda: False, SCRIPTED).run_next()


def _job(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return get_job(session, job_id)


def _attempts(database: Database, job_id: str) -> list[Attempt]:
    with database.read() as session:
        return list(list_attempts(session, get_job(session, job_id).number))


def _source(database: Database, settings: Settings) -> str:
    """A job that has ended, whose checkpoint is of step 50."""
    job_id = _submit(database, "good")
    _run(database, settings)
    return job_id


def _begin(database: Database, name: str, source: str, load: str = "weights") -> str:
    return _submit(database, name, init_from={"job_id": source, "load": load})


@pytest.mark.parametrize(("load", "fidelity"), [("weights", "weights"), ("all", "state")])
def test_it_begins_with_the_other_job_s_files(
    database: Database, quick: Settings, load: str, fidelity: str
) -> None:
    source = _source(database, quick)
    job_id = _begin(database, "tells-its-beginning", source, load)
    _run(database, quick)
    assert _job(database, job_id).weights_sha256 == BEGAN
    (attempt,) = _attempts(database, job_id)
    assert (attempt.start_step, attempt.fidelity) == (0, fidelity)
    assert attempt.resumed_from == _job(database, source).resume_checkpoint_id
    with database.read() as session:
        events = read_events(session, _job(database, job_id).number)
    assert "warning" not in {event.type for event in events}


def test_it_begins_there_until_it_has_a_checkpoint_of_its_own(
    database: Database, quick: Settings
) -> None:
    source = _source(database, quick)
    job_id = _begin(database, "dies-at-its-beginning", source)
    for _ in range(3):
        _run(database, quick)
    job = _job(database, job_id)
    assert (job.status, job.weights_sha256) == (JobStatus.SUCCEEDED, "began with None")
    attempts = _attempts(database, job_id)
    assert [(a.start_step, a.fidelity) for a in attempts] == [
        (0, "weights"),
        (0, "weights"),
        (10, "exact"),
    ]
    of = _job(database, source).resume_checkpoint_id
    assert [a.resumed_from == of for a in attempts] == [True, True, False]


def _forget(database: Database, _: Path) -> None:
    with database.write() as session:
        session.execute(delete(Checkpoint).where(Checkpoint.kind == "training"))


def _spoil(_: Database, file: Path) -> None:
    file.write_text("{}")


def _remove(_: Database, file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("harm", [_forget, _spoil, _remove])
def test_a_source_that_is_gone_all_the_same(
    database: Database, quick: Settings, harm: Callable[[Database, Path], None]
) -> None:
    """It must not begin with nothing, nor with other bytes."""
    source = _source(database, quick)
    job_id = _begin(database, "tells-its-beginning", source)
    harm(database, quick.artifact_dir / source / "1-50" / "state.json")
    _run(database, quick)
    job = _job(database, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.SOURCE_GONE)
    assert job.message is not None
    assert f"of {source}, with which it was to begin (init_from)" in job.message


def test_another_host_brings_it_from_the_bucket_and_leaves_it_there(
    database: Database, make_settings: Callable[..., Settings], bucket: Bucket, tmp_path: Path
) -> None:
    def host(name: str) -> Settings:
        return make_settings(
            data_dir=tmp_path / name,
            artifacts_url=bucket.url,
            backoff_seconds=0.0,
            disk_reserve_bytes=0,
        )

    source = _source(database, host("a"))
    job_id = _begin(database, "tells-its-beginning", source)
    _run(database, host("b"))
    assert _job(database, job_id).weights_sha256 == BEGAN
    there = host("b").cache_dir
    assert (there / source / "1-50" / "state.json").exists(), "its own job may be at work here"
    assert (there / job_id / "1-10").exists()
    assert any(name.startswith(f"{source}/files/") for name in bucket.names())
    bucket.delete(next(name for name in bucket.names() if name.startswith(source)))
    gone = _begin(database, "tells-its-beginning", source)
    _run(database, host("c"))
    assert _job(database, gone).reason == Reason.SOURCE_GONE
