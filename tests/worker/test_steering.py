"""A running attempt and what its user wants: paused, resumed, cancelled with little patience."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import update

from store.database import Database
from store.extension import extend_job
from store.jobs import get_job, submit_job
from store.lifecycle import cancel_job, pause_job, resume_job, retry_job
from store.settings import Settings
from store.spec import JobSpec
from store.states import AttemptStatus, JobStatus, Reason
from store.tables import Attempt, Job
from tests.worker.scripted import SCRIPTED, attempts_of, job_of, run_next
from worker import attempt as attempt_module
from worker.supervisor import Supervisor

# The transactions themselves are tested on both databases, in tests/store.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PATIENCE = 30.0


@pytest.fixture
def quick(make_settings: Callable[..., Settings]) -> Settings:
    """No lease ends here, however busy the machine is."""
    return make_settings(backoff_seconds=0.0, lease_seconds=60.0)


def _submit(database: Database, name: str, **parts: dict[str, Any]) -> str:
    budget = {"total_steps": 100, **parts.pop("budget", {})}
    spec = {"name": name, "environment": {"id": "Pendulum-v1"}, "budget": budget, **parts}
    return submit_job(database, JobSpec.model_validate(spec))[0].id


def _rename(database: Database, job_id: str, name: str) -> None:
    """The scripted trainer does what the name says: another name, another behaviour."""
    with database.write() as session:
        job = get_job(session, job_id)
        spec = {**job.spec, "name": name}
        session.execute(update(Job).where(Job.id == job_id).values(spec=spec))


@contextmanager
def _attempt_under_way(
    database: Database,
    settings: Settings,
    job_id: str,
    draining: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Ends when the supervisor has."""
    runner = threading.Thread(
        target=Supervisor(database, settings, "test-worker", draining, SCRIPTED).run_next
    )
    before = job_of(database, job_id)
    # The trainer is tied to the thread that started it, so this thread must outlive it.
    runner.start()
    until = time.monotonic() + PATIENCE
    while (job := job_of(database, job_id)).epoch == before.epoch or job.step <= before.step:
        assert time.monotonic() < until, "the attempt makes no progress"
        time.sleep(0.02)
    yield
    runner.join(PATIENCE)
    assert not runner.is_alive()


def test_a_pause_saves_a_checkpoint_and_the_next_attempt_goes_on_there(
    database: Database, quick: Settings
) -> None:
    job_id = _submit(database, "waits")
    with _attempt_under_way(database, quick, job_id):
        pause_job(database, job_id)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.PAUSED, Reason.PAUSED_BY_USER)
    assert (job.step, job.attempts_since_progress) == (5, 0)
    run_next(database, quick)
    assert job_of(database, job_id).epoch == 1, "a paused job is nobody's"

    resume_job(database, job_id)
    with _attempt_under_way(database, quick, job_id):
        pause_job(database, job_id)
    first, second = attempts_of(database, job_id)
    assert (first.status, first.end_step) == (AttemptStatus.PAUSED, 5)
    assert (second.start_step, second.end_step) == (5, 10)
    assert second.resumed_from is not None


def test_a_pause_withdrawn_while_the_trainer_stops_queues_the_job_uncharged(
    database: Database, quick: Settings
) -> None:
    job_id = _submit(database, "stops-slowly")
    with _attempt_under_way(database, quick, job_id):
        pause_job(database, job_id)
        while not (quick.artifact_dir / job_id / "1-5").exists():  # it was told to stop
            time.sleep(0.02)
        resume_job(database, job_id)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.RESUMED_BY_USER)
    assert job.attempts_since_progress == 0
    assert attempts_of(database, job_id)[0].status == AttemptStatus.RELEASED


def test_a_trainer_that_fails_on_the_way_to_a_pause_has_failed(
    database: Database, quick: Settings
) -> None:
    job_id = _submit(database, "diverges-when-stopped")
    with _attempt_under_way(database, quick, job_id):
        pause_job(database, job_id)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.NON_FINITE)


def test_a_cancel_without_grace_does_not_wait_for_the_trainer(
    database: Database, quick: Settings
) -> None:
    job_id = _submit(database, "ignores-stop")
    begun = time.monotonic()
    with _attempt_under_way(database, quick, job_id):
        cancel_job(database, job_id, grace_seconds=0)
    assert time.monotonic() - begun < 50, "the service's own grace is 60 s"
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.CANCELLED, Reason.CANCELLED_BY_USER)


def test_a_cancelled_job_that_is_retried_goes_on_from_its_checkpoint(
    database: Database, quick: Settings
) -> None:
    job_id = _submit(database, "waits")
    with _attempt_under_way(database, quick, job_id):
        cancel_job(database, job_id)
    assert job_of(database, job_id).status == JobStatus.CANCELLED
    retry_job(database, job_id)
    _rename(database, job_id, "good")
    run_next(database, quick)
    assert job_of(database, job_id).status == JobStatus.SUCCEEDED
    assert [a.start_step for a in attempts_of(database, job_id)] == [0, 5]


def test_an_extended_job_goes_on_and_succeeds_again(database: Database, quick: Settings) -> None:
    job_id = _submit(database, "good")
    run_next(database, quick)
    extend_job(database, quick, job_id, {"total_steps": 200})
    run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.total_steps, job.step) == (JobStatus.SUCCEEDED, 200, 200)
    assert [a.start_step for a in attempts_of(database, job_id)] == [0, 50]


# ---- how long a job may train


def test_a_budget_of_seconds_ends_in_success(database: Database, quick: Settings) -> None:
    job_id = _submit(database, "evaluates-and-waits", budget={"max_seconds": 0.5})
    run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.SUCCEEDED, Reason.SECONDS_EXHAUSTED)
    assert (job.step, job.message) == (5, "Its 0.5 s of training are over.")
    assert (job.weights_sha256, job.best_return) == ("bb", 1.0)


def test_a_limit_of_seconds_ends_in_failure_and_a_retry_goes_on(
    database: Database, quick: Settings
) -> None:
    job_id = _submit(database, "waits", limits={"max_runtime_seconds": 0.5})
    run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.MAX_RUNTIME_EXCEEDED)
    assert job.message is not None
    assert "allowed: 0.5 (limits.max_runtime_seconds). Last checkpoint: step 5" in job.message

    retry_job(database, job_id)
    _rename(database, job_id, "good")
    run_next(database, quick)
    assert job_of(database, job_id).status == JobStatus.SUCCEEDED, "its time is counted anew"


def test_the_time_of_earlier_attempts_counts(database: Database, quick: Settings) -> None:
    job_id = _submit(database, "waits", limits={"max_runtime_seconds": 60})
    with _attempt_under_way(database, quick, job_id):
        pause_job(database, job_id)
    resume_job(database, job_id)
    with database.write() as session:  # as if that attempt had taken an hour
        earlier = Attempt.started_at - 3_600_000
        session.execute(update(Attempt).values(started_at=earlier))
    run_next(database, quick)
    assert job_of(database, job_id).reason == Reason.MAX_RUNTIME_EXCEEDED


def test_a_target_that_is_reached_ends_in_success(database: Database, quick: Settings) -> None:
    job_id = _submit(database, "reaches-its-target")
    run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.reason, job.step) == (JobStatus.SUCCEEDED, Reason.TARGET_REACHED, 30)


def test_a_trainer_that_does_not_stop_in_time_has_not_succeeded(
    database: Database, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt finds the time over, and saves what there is."""
    monkeypatch.setattr(attempt_module, "STOP_GRACE_SECONDS", 0.3)
    job_id = _submit(database, "ignores-stop", budget={"max_seconds": 0.3})
    run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.TRAINER_DIED)
    monkeypatch.setattr(attempt_module, "STOP_GRACE_SECONDS", 60.0)
    _rename(database, job_id, "evaluates-and-waits")
    run_next(database, quick)
    job = job_of(database, job_id)
    assert (job.status, job.reason) == (JobStatus.SUCCEEDED, Reason.SECONDS_EXHAUSTED)


def test_a_long_grace_does_not_keep_a_shutdown_waiting(
    database: Database, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "STOP_GRACE_SECONDS", 0.3)
    job_id = _submit(database, "ignores-stop")
    draining = threading.Event()
    with _attempt_under_way(database, quick, job_id, draining.is_set):
        cancel_job(database, job_id, grace_seconds=3_600)
        draining.set()
    assert job_of(database, job_id).status == JobStatus.CANCELLED


# ---- what is told of an attempt


@pytest.mark.parametrize(
    ("kills", "reason"),
    [((4, 5), Reason.HOST_OUT_OF_MEMORY), ((4, 4), Reason.TRAINER_DIED)],
)
def test_a_trainer_that_the_kernel_killed_for_its_memory(
    database: Database,
    quick: Settings,
    monkeypatch: pytest.MonkeyPatch,
    kills: tuple[int, int],
    reason: Reason,
) -> None:
    counts = iter(kills)
    monkeypatch.setattr("worker.trainer_process.oom_kills", lambda: next(counts))
    job_id = _submit(database, "crashes")
    run_next(database, quick)
    (attempt,) = attempts_of(database, job_id)
    assert (attempt.reason, attempt.exit_code) == (reason, -9)
    assert attempt.peak_memory_bytes is not None
    assert attempt.peak_memory_bytes > 1 << 20


def test_an_attempt_says_what_it_began_with(database: Database, quick: Settings) -> None:
    job_id = _submit(database, "begins-and-crashes")
    for _ in range(2):
        run_next(database, quick)
        time.sleep(0.01)
    _rename(database, job_id, "came-back-elsewhere")
    run_next(database, quick)
    found = [(a.device, a.fidelity) for a in attempts_of(database, job_id)]
    assert found == [("cpu", "none"), ("cpu", "exact"), ("cpu", "state")]
