"""A learning run leaves one result file, also if it was interrupted on the way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from benchmarks.learning.following import Follower, follow
from benchmarks.learning.result import read_result
from benchmarks.learning.task import Task

TASK = Task(
    name="CartPole-v1",
    environment_id="CartPole-v1",
    total_steps=80,
    changes={"warmup_steps": 30, "target_update_every": 10, "batch_size": 8},
    options={"evaluation_every": 20, "evaluation_episodes": 2, "checkpoint_every": 40},
    wanted=475.0,
)
# Not compared: how long it took.
CLOCK = "seconds"


def test_the_result_says_what_ran(tmp_path: Path) -> None:
    path = follow(TASK, TASK.training_run(seed=3), tmp_path)
    assert path == tmp_path / "CartPole-v1-seed-3.json"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    result = read_result(path)
    assert (result.task.name, result.seed, result.action_mode) == (
        "CartPole-v1", 3, "deterministic",
    )  # fmt: skip
    assert dict(result.changes) == TASK.changes
    assert [evaluation.step for evaluation in result.evaluations] == [0, 20, 40, 60, 80]
    assert {evaluation.episodes for evaluation in result.evaluations} == {2}


def test_an_interrupted_run_goes_on_to_the_same_result(tmp_path: Path) -> None:
    run = TASK.training_run(seed=3)
    whole = json.loads(follow(TASK, run, tmp_path / "whole").read_text())
    work = tmp_path / "parts" / "CartPole-v1-seed-3"
    work.mkdir(parents=True)
    Follower(dataclasses.replace(run, total_steps=40), work).follow()
    assert [entry.name for entry in work.glob("step-*")] == ["step-00000040"]
    parts = json.loads(follow(TASK, run, tmp_path / "parts").read_text())
    del whole[CLOCK], parts[CLOCK]
    assert parts == whole


def test_a_run_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    done = tmp_path / "CartPole-v1-seed-3.json"
    done.write_text("the result")
    follow(TASK, TASK.training_run(seed=3), tmp_path)
    assert done.read_text() == "the result"
