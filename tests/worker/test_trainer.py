"""What the trainer says of its speed, of being alive, and of what it cannot do."""

import errno
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from mrq_core.errors import EnvironmentFault, MissingPackage, NonFiniteError, ResumeError
from mrq_core.run import WarmStart
from mrq_core.spaces import SpaceError
from store.catalogue import use_own_environments
from store.spec import JobSpec
from store.states import Reason
from store.training_runs import training_run
from worker import trainer
from worker.channel import Kind, Order, StopRequest, receive
from worker.trainer import Beacon, Pace, reason_for


def _pace(*times: float) -> Pace:
    clock: Iterator[float] = iter(times)
    return Pace(lambda: next(clock))


def test_pace_is_of_the_recent_window() -> None:
    pace = _pace(0.0, 10.0, 20.0, 45.0)
    assert pace.at(0) is None
    assert pace.at(1_000) == 100.0  # the fast warm-up
    assert pace.at(1_010) == pytest.approx(1_010 / 20.0)
    # The mark at 10 s is the last one before the window of 30 s.
    assert pace.at(1_035) == pytest.approx(35 / 35.0)


def test_reports_further_apart_than_the_window_have_a_pace_too() -> None:
    pace = _pace(0.0, 40.0, 80.0)
    assert pace.at(0) is None
    assert pace.at(1_000) == 25.0
    assert pace.at(3_000) == 50.0


def test_the_beacon_speaks_only_while_steps_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "ALIVE_SECONDS", 0.02)
    said = threading.Semaphore(0)
    stopping = threading.Event()
    steps: list[int] = []

    def say(begun: int) -> None:
        steps.append(begun)
        said.release()

    beacon = Beacon(stopping.is_set, say)
    assert not said.acquire(timeout=0.2)  # nothing was asked: it may hang
    assert not beacon()
    assert said.acquire(timeout=5)
    assert not said.acquire(timeout=0.2)
    assert steps == [1]
    stopping.set()
    assert beacon()


def test_a_curve_has_about_a_thousand_points() -> None:
    spec = {"environment": {"id": "CliffWalking-v1"}, "budget": {"total_steps": 1_000_000}}
    run = training_run(JobSpec.model_validate(spec), "cpu")
    assert run.log_every == 1_000
    assert run.max_episode_steps == 500  # ours: the environment has no limit


def test_what_surrounds_the_environment_is_passed_on() -> None:
    asked = {
        "id": "Pendulum-v1",
        "max_episode_steps": 7,
        "action_repeat": 3,
        "history": 2,
        "limit_terminates": True,
    }
    spec = {"environment": asked, "budget": {"total_steps": 1000}}
    run = training_run(JobSpec.model_validate(spec), "cpu")
    assert (run.max_episode_steps, run.action_repeat, run.history) == (7, 3, 2)
    assert run.limit_terminates
    plain = {"environment": {"id": "CarRacing-v3"}, "budget": {"total_steps": 1000}}
    assert training_run(JobSpec.model_validate(plain), "cpu").history == 4
    pong = {"environment": {"id": "Atari/Pong-v5"}, "budget": {"total_steps": 1000}}
    assert training_run(JobSpec.model_validate(pong), "cpu").evaluation_epsilon == 0.001


def test_our_own_environments_are_imported_before_they_are_made() -> None:
    spec = {"environment": {"id": "mrq/Catch-v0"}, "budget": {"total_steps": 1000}}
    run = training_run(JobSpec.model_validate(spec), "cpu")
    assert run.environment_id == "mrq_core.tasks:mrq/Catch-v0"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NonFiniteError(3, "the reward"), Reason.NON_FINITE),
        (EnvironmentFault(3, "step: it broke"), Reason.ENVIRONMENT_ERROR),
        # A space that training cannot use: the same job would fail the same way again.
        (SpaceError(kind="dtype", expected="a space", got="text"), Reason.ENVIRONMENT_ERROR),
        (ResumeError("of another format"), Reason.CHECKPOINT_CORRUPT),
        (MissingPackage("stable_baselines3 is not installed here"), Reason.SPEC_INVALID),
        (OSError(errno.EIO, "the disk is broken"), Reason.STORAGE_ERROR),
        (OSError(errno.ENOSPC, "no space left"), Reason.STORAGE_FULL),
        (OSError(errno.EDQUOT, "beyond the quota"), Reason.STORAGE_FULL),
        # As safetensors 0.8 says it; test_a_full_disk_is_told_as_such sees it say so.
        (SafetensorError("I/O error: No space left (os error 28)"), Reason.STORAGE_FULL),
        (SafetensorError("I/O error: Input/output error (os error 5)"), Reason.STORAGE_ERROR),
        (torch.OutOfMemoryError("CUDA out of memory"), Reason.GPU_OUT_OF_MEMORY),
        (MemoryError(), Reason.HOST_OUT_OF_MEMORY),
        (RuntimeError("ours"), Reason.INTERNAL_ERROR),
    ],
)
def test_every_error_has_its_reason(error: BaseException, reason: Reason) -> None:
    assert reason_for(error) == reason


def test_torch_without_memory_is_told_as_such() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 50)
    assert reason_for(refused.value) == Reason.HOST_OUT_OF_MEMORY


FILL = """
import sys
import numpy as np
from safetensors.numpy import save_file
from worker.trainer import reason_for
try:
    save_file({"a": np.zeros(1 << 20)}, sys.argv[1] + "/agent.safetensors")
except Exception as error:
    print(reason_for(error))
"""


@pytest.mark.skipif(
    os.geteuid() != 0 and "CI" not in os.environ, reason="only root may mount a disk this small"
)
def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """The real one: a megabyte of tmpfs, in a mount namespace of its own that ends with it."""
    mount = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    done = subprocess.run(
        [*command, str(tmp_path), sys.executable, FILL], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "storage_full\n"), done.stderr


def test_a_checkpoint_in_the_format_of_another_release_is_refused(tmp_path: Path) -> None:
    """Both versions are named; the job fails, and does not begin anew unasked."""
    old = tmp_path / "1-100"
    old.mkdir()
    (old / "state.json").write_text(json.dumps({"format_version": 1, "step": 100}))
    spec: dict[str, Any] = {
        "environment": {"id": "Pendulum-v1"},
        "algorithm": {"preset": "small"},
        "budget": {"total_steps": 1000},
    }
    order = Order("job_1", 2, spec, str(tmp_path), str(old), device="cpu", threads=1)
    with pytest.raises(ResumeError, match=r"format version 1; this version reads 2") as refused:
        trainer.run(order, StopRequest(io.StringIO()), io.BytesIO())
    assert reason_for(refused.value) == Reason.CHECKPOINT_CORRUPT


def test_a_checkpoint_to_begin_with_that_does_not_fit_is_the_spec_s_fault(tmp_path: Path) -> None:
    old = tmp_path / "1-100"
    old.mkdir()
    (old / "state.json").write_text(json.dumps({"format_version": 1, "step": 100}))
    begins = {"checkpoint_id": "ckpt_1", "job_id": "job_2", "sha256": "0" * 64}
    spec: dict[str, Any] = {
        "environment": {"id": "Pendulum-v1"},
        "algorithm": {"preset": "small"},
        "budget": {"total_steps": 1000},
        "init_from": begins,
    }
    order = Order("job_1", 1, spec, str(tmp_path), None, "cpu", threads=1, begin_from=str(old))
    with pytest.raises(ResumeError, match=r"format version 1; this version reads 2") as refused:
        trainer.run(order, StopRequest(io.StringIO()), io.BytesIO())
    assert reason_for(refused.value, begins=True) == Reason.SPEC_INVALID
    run = training_run(JobSpec.model_validate(spec), "cpu")
    assert run.warm_start == WarmStart(sha256="0" * 64, load="weights")


def test_an_environment_of_the_operators_own_is_trained_in(tmp_path: Path) -> None:
    """By the trainer alone: it registers what the file names."""
    file = tmp_path / "own.toml"
    file.write_text(
        '["acme/Crane-v0"]\n'
        'entry = "tests.crane:Crane"\n'
        'observation = {kind = "vector", shape = [6]}\n'
        'action = {kind = "continuous", size = 2}\n'
        "max_episode_steps = 50\n"
    )
    tiny = {"zs_dim": 8, "zsa_dim": 8, "batch_size": 8, "warmup_steps": 60}
    spec: dict[str, Any] = {
        "environment": {"id": "acme/Crane-v0"},
        "algorithm": {"preset": "small", "hyperparameters": tiny},
        "budget": {"total_steps": 100},
        "evaluation": {"episodes": 1, "every_steps": 100},
        "checkpointing": {"every_steps": 100},
    }
    order = Order("job_1", 1, spec, str(tmp_path), None, "cpu", 1, environments_file=str(file))
    stream = io.BytesIO()
    reading, writing = os.pipe()  # nobody asks it to stop
    try:
        with os.fdopen(reading) as requests, os.fdopen(writing, "w"):
            trainer.run(order, StopRequest(requests), stream)
    finally:
        use_own_environments(None)
    stream.seek(0)
    told = [message.kind for message in receive(stream)]
    assert told[-1] is Kind.FINISHED
    assert told.count(Kind.EVALUATION) == 2
