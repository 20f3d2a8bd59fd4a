"""What an attempt begins with: files of another job, on this host or from a bucket, or none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete

from store.database import Database
from store.events import read_events
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Checkpoint
from tests.buckets import Bucket
from tests.worker.scripted import attempts_of, job_of, run_next, submit

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BEGAN = 'began with {"step": 50}'


@pytest.fixture
def quick(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(backoff_seconds=0.0, disk_reserve_bytes=0)


def _source(database: Database, settings: Settings) -> str:
    """A job that has ended, whose checkpoint is of step 50."""
    job_id = submit(database, "good")
    run_next(database, settings)
    return job_id


def _begin(database: Database, name: str, source: str, load: str = "weights") -> str:
    return submit(database, name, init_from={"job_id": source, "load": load})


@pytest.mark.parametrize(("load", "fidelity"), [("weights", "weights"), ("all", "state")])
def test_it_begins_with_the_other_job_s_files(
    database: Database, quick: Settings, load: str, fidelity: str
) -> None:
    source = _source(database, quick)
    job_id = _begin(database, "tells-its-beginning", source, load)
    run_next(database, quick)
    assert job_of(database, job_id).weights_sha256 == BEGAN
    (attempt,) = attempts_of(database, job_id)
    assert (attempt.start_step, attempt.fidelity) == (0, fidelity)
    assert attempt.resumed_from == job_of(database, source).resume_checkpoint_id
    with database.read() as session:
        events = read_events(session, job_of(database, job_id).number)
    assert "warning" not in {event.type for event in events}


def test_it_begins_there_until_it_has_a_checkpoint_of_its_own(
    database: Database, quick: Settings
) -> None:
    source = _source(database, quick)
    job_id = _begin(database, "dies-at-its-beginning", source)
    for _ in range(3):
        run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.weights_sha256) == (JobStatus.SUCCEEDED, "began with None")
    attempts = attempts_of(database, job_id)
    assert [(a.start_step, a.fidelity) for a in attempts] == [
        (0, "weights"),
        (0, "weights"),
        (10, "exact"),
    ]
    of = job_of(database, source).resume_checkpoint_id
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
    run_next(database, quick)
    job = job_of(database, job_id)
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
    run_next(database, host("b"))
    assert job_of(database, job_id).weights_sha256 == BEGAN
    there = host("b").cache_dir
    assert (there / source / "1-50" / "state.json").exists(), "its own job may be at work here"
    assert (there / job_id / "1-10").exists()
    assert any(name.startswith(f"{source}/files/") for name in bucket.names())
    bucket.delete(next(name for name in bucket.names() if name.startswith(source)))
    gone = _begin(database, "tells-its-beginning", source)
    run_next(database, host("c"))
    assert job_of(database, gone).reason == Reason.SOURCE_GONE
