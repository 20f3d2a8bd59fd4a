"""kill -9 of each process in the middle of a job: it succeeds without a hand, byte for byte."""

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.service import LiveService, live_service, tiny_job

MIDDLE = 350  # between two checkpoints, in the middle of an episode and of a target cycle


def _require_same_as(undisturbed: dict[str, Any], job: dict[str, Any]) -> None:
    assert job["status"] == "succeeded", job["status_message"]
    assert job["weights_sha256"] == undisturbed["weights_sha256"]
    assert job["best"]["return_mean"] == undisturbed["best"]["return_mean"]


def _require_running(job: dict[str, Any]) -> None:
    assert job["status"] == "running", "too late: a kill now would prove nothing"
    assert job["progress"]["step"] < 650


def _resumed_from_checkpoint(service: LiveService, job_id: str) -> list[dict[str, Any]]:
    attempts: list[dict[str, Any]] = service.get(f"/jobs/{job_id}/attempts")["data"]
    assert len(attempts) == 2
    assert attempts[0]["status"] == "lost"
    assert attempts[1]["start_step"] >= 200
    assert attempts[1]["resumed_from"] is not None
    return attempts


@pytest.mark.parametrize(
    ("victim", "reason", "exit_code"),
    [
        ("worker.trainer", "trainer_died", -9),
        ("spawn_main", "worker_lost", None),  # the supervisor, in Celery's pool process
        ("worker.celery_app", "worker_lost", None),
    ],
)
def test_a_killed_attempt_is_resumed_bit_exact(
    service: LiveService,
    undisturbed: dict[str, Any],
    victim: str,
    reason: str,
    exit_code: int | None,
) -> None:
    job_id = service.submit(tiny_job())
    _require_running(service.wait_for_step(job_id, MIDDLE))
    trainer = service.find_process("worker.trainer")
    service.kill(victim)
    _, alive = psutil.wait_procs([trainer], timeout=5)
    assert alive == [], "the trainer must not outlive its supervisor"
    job = service.wait_for_end(job_id)
    _require_same_as(undisturbed, job)
    attempts = _resumed_from_checkpoint(service, job_id)
    assert (attempts[0]["reason"], attempts[0]["exit_code"]) == (reason, exit_code)
    evaluations = service.get(f"/jobs/{job_id}/evaluations")["data"]
    assert [row["step"] for row in evaluations] == [0, 200, 400, 600, 700]


@pytest.mark.parametrize("victim", ["app.serve", "valkey-server", "worker.reconciler"])
def test_a_running_job_does_not_notice(
    service: LiveService, undisturbed: dict[str, Any], victim: str
) -> None:
    job_id = service.submit(tiny_job())
    _require_running(service.wait_for_step(job_id, MIDDLE))
    killed = service.kill(victim)
    job = service.wait_for_end(job_id)
    _require_same_as(undisturbed, job)
    assert len(service.get(f"/jobs/{job_id}/attempts")["data"]) == 1
    # Started again, and doing its work: the next job runs too.
    until = time.monotonic() + 30
    while service.find_process(victim).pid == killed:
        assert time.monotonic() < until
        time.sleep(0.1)
    after = service.wait_for_end(service.submit(tiny_job(budget={"total_steps": 250})))
    assert after["status"] == "succeeded"


def test_a_job_submitted_while_the_broker_is_dead_starts_when_it_is_back(
    service: LiveService,
) -> None:
    service.kill("valkey-server")
    job_id = service.submit(tiny_job(budget={"total_steps": 250}))
    assert service.wait_for_end(job_id)["status"] == "succeeded"


def test_stopping_hands_the_job_back_and_starting_again_finishes_it(
    fresh_service: LiveService, undisturbed: dict[str, Any]
) -> None:
    job_id = fresh_service.submit(tiny_job())
    fresh_service.wait_for_step(job_id, MIDDLE)
    fresh_service.find_process("worker.celery_app").terminate()
    fresh_service.wait(job_id, lambda job: job["attempt"] == 2)
    job = fresh_service.wait_for_end(job_id)
    _require_same_as(undisturbed, job)
    attempts = fresh_service.get(f"/jobs/{job_id}/attempts")["data"]
    assert [row["status"] for row in attempts] == ["released", "succeeded"]
    # Nothing was done twice: the second attempt began where the first one stopped.
    assert attempts[1]["start_step"] == attempts[0]["end_step"] >= MIDDLE


def test_after_a_kill_of_mrq_up_itself_the_next_one_finishes_the_job(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    with live_service(tmp_path / "data") as first:
        job_id = first.submit(tiny_job())
        _require_running(first.wait_for_step(job_id, MIDDLE))
        first.process.kill()
        first.process.wait()
    with live_service(tmp_path / "data") as second:
        _require_same_as(undisturbed, second.wait_for_end(job_id))
        _resumed_from_checkpoint(second, job_id)
