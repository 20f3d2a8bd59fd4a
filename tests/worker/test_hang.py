"""What the real trainer tells of an environment that hangs."""

import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.reliability.jobs import TINY
from store.spec import JobSpec
from tests.worker.hanging_trainer import HANGS, IN_EVALUATION, IN_INIT, IN_RESET, IN_STEP
from worker.channel import Order
from worker.hang import what_hangs
from worker.trainer_process import NICENESS, TrainerProcess


def order(folder: Path, where: float) -> Order:
    environment = {"id": "Pendulum-v1", "kwargs": {"g": where}, "max_episode_steps": 10}
    spec: dict[str, Any] = {
        "environment": environment,
        "algorithm": {"preset": "small", "hyperparameters": TINY},
        "budget": {"total_steps": 100},
        "evaluation": {"episodes": 1},
    }
    return Order(
        job_id="job_1",
        epoch=1,
        spec=JobSpec.model_validate(spec).to_json(),
        artifact_dir=str(folder),
        resume_from=None,
        device="cpu",
        threads=1,
    )


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (IN_INIT, "the environment hangs while it is made"),
        (IN_RESET, "the environment hangs in reset"),
        (IN_STEP, "the environment hangs in step"),
        (IN_EVALUATION, "the environment hangs in step, during an evaluation"),
    ],
)
def test_the_call_that_hangs_is_named(tmp_path: Path, where: float, told: str) -> None:
    log = tmp_path / "1.log"
    trainer = TrainerProcess(order(tmp_path, where), log, "tests.worker.hanging_trainer")
    try:
        until = time.monotonic() + 120
        while HANGS not in log.read_text():
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        assert what_hangs(trainer.write_stack()) == told
        assert "in hang" in trainer.log_tail()
        process = psutil.Process(trainer.pid)  # others on this machine go first
        assert process.nice() == min(19, psutil.Process().nice() + NICENESS)
    finally:
        trainer.close()


def test_a_stack_outside_the_environment_says_nothing_of_it() -> None:
    stack = """Current thread 0x1 (most recent call first):
  File "/x/torch/optim/adamw.py", line 3 in step
  File "/x/mrq_core/agent.py", line 200 in update_value
  File "/x/mrq_core/session.py", line 90 in advance
"""
    assert what_hangs(stack) is None
    assert what_hangs("") is None
