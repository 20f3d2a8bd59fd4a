"""An attempt whose checkpoints go to an object store, which may be away; and a disk that fills."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from store.checkpoint_files import CheckpointFiles, training_files
from store.database import Database
from store.errors import StorageUnreachable
from store.events import read_events
from store.garbage import damaged_checkpoints, find_garbage
from store.jobs import get_job
from store.lifecycle import cancel_job
from store.object_store import ObjectStore
from store.results import record_training_checkpoint
from store.settings import Settings
from store.states import JobStatus, Reason
from tests.buckets import Bucket
from tests.worker.scripted import attempts_of, job_of, run_next, submit
from worker import attempt as attempt_module
from worker import handin as handin_module
from worker import outbox as outbox_module
from worker import publisher as publisher_module

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def host(
    make_settings: Callable[..., Settings], bucket: Bucket, tmp_path: Path
) -> Callable[[str], Settings]:
    """Settings of a worker host: the same database and bucket, a data folder of its own."""

    def settings(name: str) -> Settings:
        return make_settings(
            data_dir=tmp_path / name,
            artifacts_url=bucket.url,
            backoff_seconds=0.0,
            storage_wait_seconds=0.01,
            disk_reserve_bytes=0,
        )

    return settings


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "FIRST_RETRY_SECONDS", 0.05)


def _files(database: Database, job_id: str) -> list[CheckpointFiles]:
    with database.read() as session:
        return training_files(session, get_job(session, job_id).number)


def _warnings(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        events = read_events(session, get_job(session, job_id).number)
    return [event.data["message"] for event in events if event.type == "warning"]


def _take_away(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The store takes nothing, so often."""
    left, put = [times], ObjectStore.put

    def refuse(self: ObjectStore, path: Path, name: str) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise StorageUnreachable("no answer")
        put(self, path, name)

    monkeypatch.setattr(ObjectStore, "put", refuse)


def test_another_host_goes_on_where_the_first_one_stopped(
    database: Database, host: Callable[[str], Settings], bucket: Bucket
) -> None:
    job_id = submit(database, "advances-then-crashes")
    for name in ("a", "b", "a", "c"):
        run_next(database, host(name))
    assert [a.start_step for a in attempts_of(database, job_id)] == [0, 10, 20, 30]
    files = _files(database, job_id)
    assert [each.folder for each in files] == [f"{job_id}/4-40", f"{job_id}/3-30"]
    assert set(bucket.names()) == {each.object_of("state.json") for each in files}
    assert not host("c").artifact_dir.exists()
    assert find_garbage(database, host("d")) == []
    assert list(damaged_checkpoints(database, host("d"))) == []


def test_a_damaged_object_is_passed_over_for_the_checkpoint_before(
    database: Database, host: Callable[[str], Settings], bucket: Bucket
) -> None:
    job_id = submit(database, "advances-then-crashes")
    run_next(database, host("a"))
    run_next(database, host("a"))
    bucket.put(_files(database, job_id)[0].object_of("state.json"), b'{"step": 99}')
    (damage,) = damaged_checkpoints(database, host("b"))
    assert damage.invariant == "I4"
    run_next(database, host("b"))
    assert [a.start_step for a in attempts_of(database, job_id)] == [0, 10, 10]
    (warning,) = _warnings(database, job_id)
    assert warning.startswith("The checkpoint of step 20 is corrupt and was passed over")


def test_a_store_that_is_away_at_the_start_is_waited_for_and_costs_nothing(
    database: Database,
    host: Callable[[str], Settings],
    monkeypatch: pytest.MonkeyPatch,
    bucket: Bucket,
) -> None:
    job_id = submit(database, "advances-then-crashes")
    run_next(database, host("a"))
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", DEAD)
        for _ in range(4):  # more often than a crash loop would allow
            run_next(database, host("b"))
            job = job_of(database, job_id)
            assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.STORAGE_UNREACHABLE)
            assert job.attempts_since_progress == 0
    assert _warnings(database, job_id) == [], "nothing is known to be corrupt"
    run_next(database, host("b"))
    assert attempts_of(database, job_id)[-1].start_step == 10


def test_training_goes_on_while_the_store_is_away(
    database: Database, host: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    _take_away(monkeypatch, 3)
    job_id = submit(database, "good")
    run_next(database, host("a"))
    job = job_of(database, job_id)
    assert (job.status, job.epoch, job.step) == (JobStatus.SUCCEEDED, 1, 100)
    assert len(_files(database, job_id)) == 1
    (warning,) = _warnings(database, job_id)
    assert warning.startswith("The object store does not take the checkpoint of step 50.")


def test_a_job_does_not_succeed_without_its_last_checkpoint(
    database: Database, host: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "STORAGE_PATIENCE_SECONDS", 0.3)
    job_id = submit(database, "good")
    with monkeypatch.context() as away:
        _take_away(away, 1_000)
        run_next(database, host("a"))
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.STORAGE_UNREACHABLE)
    assert job.attempts_since_progress == 0
    assert _files(database, job_id) == []
    run_next(database, host("a"))
    assert job_of(database, job_id).status == JobStatus.SUCCEEDED


def test_who_cancels_does_not_wait_for_the_store(
    database: Database, host: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "LEAST_SECONDS", 0.2)
    _take_away(monkeypatch, 1_000)
    job_id = submit(database, "evaluates-and-waits")
    cancel_when_running(database, job_id)
    begun = time.monotonic()
    run_next(database, host("a"))
    assert time.monotonic() - begun < 15
    assert job_of(database, job_id).status == JobStatus.CANCELLED
    assert _files(database, job_id) == []


def cancel_when_running(database: Database, job_id: str) -> None:
    def cancel() -> None:
        while job_of(database, job_id).status != JobStatus.RUNNING:
            time.sleep(0.02)
        cancel_job(database, job_id, grace_seconds=2.0)

    threading.Thread(target=cancel, daemon=True).start()


def test_an_upload_that_takes_longer_than_the_lease(
    database: Database, host: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ObjectStore.put

    def slowly(self: ObjectStore, path: Path, name: str) -> None:
        time.sleep(4.0)
        put(self, path, name)

    monkeypatch.setattr(ObjectStore, "put", slowly)
    settings = host("a").model_copy(update={"lease_seconds": 3.0})
    job_id = submit(database, "good")
    run_next(database, settings)
    job = job_of(database, job_id)
    assert (job.status, job.epoch) == (JobStatus.SUCCEEDED, 1)
    assert len(_files(database, job_id)) == 1


def test_a_killed_attempts_objects_are_swept_by_the_next(
    database: Database, host: Callable[[str], Settings], bucket: Bucket
) -> None:
    job_id = submit(database, "advances-then-crashes")
    run_next(database, host("a"))
    left = f"{job_id}/files/1-{'0' * 64}"
    bucket.put(left, b"without a row")
    run_next(database, host("b"))
    assert left not in bucket.names()


def test_a_commit_in_doubt_is_not_waited_for_again(
    database: Database, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row was there, only the answer was lost: the next checkpoint must not wait for ever."""
    times: list[int] = []

    def lose_the_answer(*args: Any, **more: Any) -> list[str]:
        unnamed = record_training_checkpoint(*args, **more)
        times.append(len(times))
        if len(times) == 1:
            raise OperationalError("COMMIT", None, Exception("connection lost"))
        return unnamed

    monkeypatch.setattr(handin_module, "record_training_checkpoint", lose_the_answer)
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0.05)
    job_id = submit(database, "good")
    run_next(database, make_settings())
    assert job_of(database, job_id).status == JobStatus.SUCCEEDED
    assert (len(_files(database, job_id)), times) == (1, [0])


def test_a_trainer_cannot_hand_in_what_is_not_its_own(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    job_id = submit(database, "names-anothers-folder")
    run_next(database, make_settings(backoff_seconds=0.0))
    (attempt,) = attempts_of(database, job_id)
    assert attempt.reason == Reason.INTERNAL_ERROR
    assert "a folder that is not its own" in str(attempt.message)
    assert _files(database, job_id) == []


def test_environment_code_gets_no_key_to_the_store(
    database: Database, host: Callable[[str], Settings]
) -> None:
    settings = host("a")
    job_id = submit(database, "tells-its-environment")
    run_next(database, settings)
    said = (settings.log_dir / "jobs" / job_id / "1.log").read_text()
    assert "PATH" in said
    assert "AWS_" not in said
    assert "MRQ_" not in said


def test_too_little_space_is_waited_for_before_an_attempt_begins(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    job_id = submit(database, "advances-then-crashes")
    full = make_settings(disk_reserve_bytes=1 << 60, storage_wait_seconds=0.01)
    for _ in range(4):
        run_next(database, full)
        job = job_of(database, job_id)
        assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.STORAGE_FULL)
        assert job.attempts_since_progress == 0
    assert "are free, " in str(job.message)
    assert not (full.log_dir / "jobs").exists(), "no trainer was started"
    run_next(database, make_settings())
    assert len(_files(database, job_id)) == 1


def test_twice_the_last_checkpoint_must_be_free(
    database: Database, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(database, "advances-then-crashes")
    settings = make_settings(disk_reserve_bytes=1_000, backoff_seconds=0.0)
    run_next(database, settings)
    with database.read() as session:
        size = sum(training_files(session, job_of(database, job_id).number)[0].sizes.values())
    for free, begins in ((2 * size + 999, False), (2 * size + 1_000, True)):
        usage = type(shutil.disk_usage("/"))(10**9, 0, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        run_next(database, make_settings(disk_reserve_bytes=1_000, storage_wait_seconds=0.01))
        assert (attempts_of(database, job_id)[-1].resumed_from is not None) == begins
