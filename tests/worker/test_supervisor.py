"""One attempt, from claim to verdict, with a trainer process that misbehaves on order."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import psutil
import pytest
from sqlalchemy import update

from store.bells import jobs_to_ring
from store.database import Database
from store.endings import reap_expired
from store.events import read_events
from store.extras import MODULES
from store.jobs import get_job
from store.lifecycle import cancel_job
from store.policies import find_policy
from store.series import read_series
from store.settings import Settings
from store.states import AttemptStatus, JobStatus, Reason
from store.tables import Job
from tests.worker.scripted import SCRIPTED, attempts_of, job_of, submit
from worker import attempt as attempt_module
from worker.supervisor import Supervisor

# The transactions themselves are tested on both databases, in tests/store.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _supervisor(
    database: Database, settings: Settings, draining: Callable[[], bool] = lambda: False
) -> Supervisor:
    return Supervisor(database, settings, "test-worker", draining, SCRIPTED)


def _run_until_ended(database: Database, settings: Settings, job_id: str) -> Job:
    for _ in range(10):
        _supervisor(database, settings).run_next()
        job = job_of(database, job_id)
        if job.finished_at is not None:
            return job
        time.sleep(0.02)
    raise AssertionError(f"still {job.status} after ten attempts")


@pytest.fixture
def quick(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(backoff_seconds=0.0)


def test_a_good_run_succeeds_and_its_best_checkpoint_becomes_a_policy(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "good")
    job = _run_until_ended(database, quick, job_id)
    assert (job.status, job.reason) == (JobStatus.SUCCEEDED, Reason.BUDGET_EXHAUSTED)
    assert (job.best_return, job.weights_sha256) == (100.0, "aa")
    with database.read() as session:
        assert find_policy(session, "good").checkpoint_id == job.best_checkpoint_id


def test_no_job_no_effect(database: Database, quick: Settings) -> None:
    _supervisor(database, quick).run_next()
    assert not quick.log_dir.exists()


def test_three_crashes_without_progress_end_the_job_with_the_log_kept(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "crashes")
    job = _run_until_ended(database, quick, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.CRASH_LOOP)
    assert job.message is not None
    assert "SIGKILL" in job.message
    said, _, log = job.message.partition("\n")
    assert said.endswith("No checkpoint yet.")
    assert "about to crash" in log
    attempts = attempts_of(database, job_id)
    assert [a.exit_code for a in attempts] == [-9, -9, -9]
    assert {a.reason for a in attempts} == {Reason.TRAINER_DIED}


def test_crashes_with_progress_between_them_go_on(database: Database, quick: Settings) -> None:
    job_id = submit(database, "advances-then-crashes")
    for _ in range(5):
        _supervisor(database, quick).run_next()
        time.sleep(0.01)
    job = job_of(database, job_id)
    assert job.status == JobStatus.QUEUED
    assert [a.start_step for a in attempts_of(database, job_id)] == [0, 10, 20, 30, 40]
    folders = [p.name for p in (quick.artifact_dir / job_id).iterdir()]
    assert sorted(folders) == ["4-40", "5-50"]  # two are kept, one behind the other


def test_a_hanging_trainer_is_killed_and_the_job_queued_again(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(no_progress_seconds=1.0, backoff_seconds=0.0)
    job_id = submit(database, "hangs")
    _supervisor(database, settings).run_next()
    assert job_of(database, job_id).status == JobStatus.QUEUED
    (attempt,) = attempts_of(database, job_id)
    assert (attempt.status, attempt.reason) == (AttemptStatus.LOST, Reason.NO_PROGRESS)
    # It has no handler that tells what it does.
    assert "the trainer says nothing; it was killed. No checkpoint yet." in str(attempt.message)


@pytest.mark.parametrize("call", ["reset", "step"])
def test_an_environment_that_hangs_is_named_and_not_tried_for_ever(
    database: Database, make_settings: Callable[..., Settings], call: str
) -> None:
    settings = make_settings(
        no_progress_seconds=3.0, backoff_seconds=0.0, max_attempts_without_progress=2
    )
    job_id = submit(database, f"hangs-in-{call}")
    job = _run_until_ended(database, settings, job_id)
    assert (job.status, job.reason, job.epoch) == (JobStatus.FAILED, Reason.CRASH_LOOP, 2)
    told = f"No progress for 3 s after step 8: the environment hangs in {call}; it was killed."
    assert f"the last one: no_progress. {told} No checkpoint yet." in str(job.message)
    assert {a.reason for a in attempts_of(database, job_id)} == {Reason.NO_PROGRESS}


def test_a_slow_trainer_that_is_alive_is_left_alone(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    # A lease that a busy machine keeps, too: it is not what this is about.
    settings = make_settings(no_progress_seconds=4.0, backoff_seconds=0.0, lease_seconds=20.0)
    job_id = submit(database, "is-slow-but-alive")
    _supervisor(database, settings).run_next()
    assert job_of(database, job_id).status == JobStatus.SUCCEEDED


def test_an_error_of_ours_ends_the_attempt_and_is_told(database: Database, quick: Settings) -> None:
    job_id = submit(database, "breaks-the-protocol")
    _supervisor(database, quick).run_next()
    (attempt,) = attempts_of(database, job_id)
    assert (attempt.status, attempt.reason) == (AttemptStatus.LOST, Reason.INTERNAL_ERROR)
    assert attempt.message is not None
    assert "KeyError" in attempt.message


def test_a_trainer_that_will_not_stop_is_killed_and_the_drained_job_not_charged(
    database: Database, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "STOP_GRACE_SECONDS", 0.5)
    job_id = submit(database, "ignores-stop")
    beginning = time.monotonic()
    _supervisor(database, quick, lambda: time.monotonic() > beginning + 0.5).run_next()
    job = job_of(database, job_id)
    assert (job.status, job.reason, job.attempts_since_progress) == ("queued", "drained", 0)


def test_a_resume_that_is_not_exact_is_told(database: Database, quick: Settings) -> None:
    job_id = submit(database, "came-back-elsewhere")
    _supervisor(database, quick).run_next()
    assert job_of(database, job_id).status == JobStatus.SUCCEEDED
    assert "episode under way was cut off" in _warnings(database, job_id)[0]


def _warnings(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        events = read_events(session, get_job(session, job_id).number)
    return [event.data["message"] for event in events if event.type == "warning"]


def test_divergence_is_not_retried(database: Database, quick: Settings) -> None:
    job = _run_until_ended(database, quick, submit(database, "diverges"))
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.NON_FINITE)
    assert job.message == "loss/value at step 7 No checkpoint yet."
    assert job.epoch == 1


def test_a_failure_names_the_last_checkpoint_which_is_kept(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "fails-after-a-checkpoint")
    job = _run_until_ended(database, quick, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.ENVIRONMENT_ERROR)
    last = f"Last checkpoint: step 10 ({job.resume_checkpoint_id})."
    assert job.message == f"at step 12 it broke {last}"
    assert [path.name for path in (quick.artifact_dir / job_id).iterdir()] == ["1-10"]


def test_rewards_beyond_the_range_are_told_once(database: Database, quick: Settings) -> None:
    job_id = submit(database, "clamps")
    _supervisor(database, quick).run_next()
    (warning,) = _warnings(database, job_id)
    assert warning.startswith("By step 50, 3 rewards were outside -22025.5 to 22025.5")
    with database.read() as session:
        points = read_series(session, get_job(session, job_id), "reward/clamped").points
    assert [tuple(point) for point in points] == [(50, 3.0), (75, 5.0)]


def test_a_message_cut_off_by_a_kill_was_never_said(database: Database, quick: Settings) -> None:
    job_id = submit(database, "says-half-a-message")
    _supervisor(database, quick).run_next()
    (attempt,) = attempts_of(database, job_id)
    assert attempt.reason == Reason.TRAINER_DIED
    assert job_of(database, job_id).best_checkpoint_id is None


def test_a_process_that_the_trainer_left_behind_is_killed(
    database: Database, quick: Settings
) -> None:
    submit(database, "leaves-a-child")
    _supervisor(database, quick).run_next()
    ours = f"{SCRIPTED} {os.getpid()} "  # other test processes have theirs
    left = [p for p in psutil.process_iter() if ours in " ".join(_command(p))]
    assert left == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_cancel_stops_a_running_attempt(database: Database, quick: Settings) -> None:
    job_id = submit(database, "waits")
    runner = threading.Thread(target=_supervisor(database, quick).run_next)
    # The trainer is tied to the thread that started it, so this thread must outlive it.
    runner.start()
    while job_of(database, job_id).step == 0:
        time.sleep(0.02)
    cancel_job(database, job_id)
    runner.join(20)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.CANCELLED, Reason.CANCELLED_BY_USER)


def test_draining_hands_the_job_back_uncharged_and_the_next_attempt_goes_on(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "waits")
    beginning = time.monotonic()
    _supervisor(database, quick, lambda: time.monotonic() > beginning + 1.0).run_next()
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.DRAINED)
    assert job.attempts_since_progress == 0
    assert [j.id for j in jobs_to_ring(database, quick)] == [job_id]
    assert attempts_of(database, job_id)[0].status == AttemptStatus.RELEASED


def test_a_worker_that_is_told_to_stop_takes_no_new_job(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "good")
    _supervisor(database, quick, lambda: True).run_next()
    assert job_of(database, job_id).epoch == 0


def test_an_attempt_that_lost_its_job_kills_its_trainer_and_writes_nothing_more(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "waits")
    runner = threading.Thread(target=_supervisor(database, quick).run_next)
    runner.start()
    while job_of(database, job_id).step == 0:
        time.sleep(0.02)
    with database.write() as session:  # as if it had slept beyond its lease
        session.execute(update(Job).values(lease_until=0))
    while not reap_expired(database, quick):
        with database.write() as session:
            session.execute(update(Job).values(lease_until=0))
    runner.join(20)
    assert not runner.is_alive()
    job = job_of(database, job_id)
    assert (job.status, job.reason, job.epoch) == (JobStatus.QUEUED, Reason.WORKER_LOST, 1)
    (attempt,) = attempts_of(database, job_id)
    assert attempt.status == AttemptStatus.LOST


def _two_checkpoints(database: Database, settings: Settings) -> str:
    job_id = submit(database, "advances-then-crashes")
    for _ in range(2):
        _supervisor(database, settings).run_next()
        time.sleep(0.01)
    return job_id


def test_a_corrupt_checkpoint_is_passed_over_for_the_one_before(
    database: Database, quick: Settings
) -> None:
    job_id = _two_checkpoints(database, quick)
    (quick.artifact_dir / job_id / "2-20" / "state.json").write_text('{"step": 99}')
    _supervisor(database, quick).run_next()
    assert [a.start_step for a in attempts_of(database, job_id)] == [0, 10, 10]
    (warning,) = _warnings(database, job_id)
    assert warning.startswith("The checkpoint of step 20 is corrupt and was passed over")


def test_a_job_whose_checkpoints_are_all_gone_fails_and_never_starts_from_nothing(
    database: Database, quick: Settings
) -> None:
    job_id = _two_checkpoints(database, quick)
    shutil.rmtree(quick.artifact_dir / job_id)
    job = _run_until_ended(database, quick, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.CHECKPOINT_CORRUPT)
    assert job.message is not None
    assert "step 20" in job.message


def test_what_a_dead_attempt_left_without_a_row_is_swept(
    database: Database, quick: Settings
) -> None:
    job_id = _two_checkpoints(database, quick)
    orphan = quick.artifact_dir / job_id / "1-99"
    orphan.mkdir()
    (quick.artifact_dir / job_id / ".tmp-1-abc").mkdir()
    _supervisor(database, quick).run_next()
    names = sorted(p.name for p in (quick.artifact_dir / job_id).iterdir())
    assert names == ["2-20", "3-30"]


def test_a_spec_of_another_release_fails_with_the_field_named(
    database: Database, quick: Settings
) -> None:
    job_id = submit(database, "good")
    with database.write() as session:
        spec = {**get_job(session, job_id).spec, "from_the_future": 1}
        spec["budget"] = {"total_steps": -5}
        session.execute(update(Job).values(spec=spec))
    job = _run_until_ended(database, quick, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.SPEC_INVALID)
    assert job.message == (
        "budget.total_steps=-5: Input should be greater than or equal to 1; "
        "from_the_future=1: Extra inputs are not permitted No checkpoint yet."
    )


def test_a_job_whose_environment_is_not_installed_here_ends_with_the_command(
    database: Database, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on another host could not know."""
    job_id = submit(database, "good")
    monkeypatch.setitem(cast(dict[str, Any], MODULES), "train", ("torch", "a_package_of_nobody"))
    job = _run_until_ended(database, quick, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.SPEC_INVALID)
    assert job.message is not None
    assert "pip install 'mrq-service[train]'; missing here: a_package_of_nobody" in job.message
    assert len(attempts_of(database, job_id)) == 1
