"""`python -m benchmarks.learning.paper TASK SEED FOLDER`: one run by the paper's protocol.

Preset `paper` at the first published budget, 25,000 agent steps; ten noiseless episodes at step 0
and every 5,000 (arXiv 2501.16142, section 5). Hours on a CPU, so it goes on from the last
checkpoint in FOLDER if there is one. Writes FOLDER/TASK-seed-SEED.json when it is done.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mrq_core.events import CheckpointDue, Evaluated, Finished, Progressed
from mrq_core.run import TrainingRun
from mrq_core.training import train

TOTAL_STEPS = 25_000
PACKAGES = ("torch", "gymnasium", "mujoco", "numpy", "dm_control", "shimmy")


@dataclass(frozen=True)
class PaperTask:
    """`published` is the name in the authors' results."""

    environment_id: str
    published: str
    run: Mapping[str, Any] = field(default_factory=dict)
    registers: str | None = None


# Two physics steps to an action, 500 actions to an episode.
_DMC: Mapping[str, Any] = {"action_repeat": 2, "max_episode_steps": 500}


def _dmc(name: str) -> PaperTask:
    return PaperTask(f"dm_control/{name}-v0", f"dmc-{name}", _DMC, "shimmy")


TASKS = {
    "cartpole-swingup": _dmc("cartpole-swingup"),
    "ball_in_cup-catch": _dmc("ball_in_cup-catch"),
    "reacher-easy": _dmc("reacher-easy"),
    "HalfCheetah-v4": PaperTask("HalfCheetah-v4", "Gym-HalfCheetah-v4"),
}


def run_of(task: PaperTask, seed: int) -> TrainingRun:
    if task.registers is not None:
        import_module(task.registers)
    return TrainingRun(
        environment_id=task.environment_id,
        total_steps=TOTAL_STEPS,
        seed=seed,
        evaluation_every=5_000,
        evaluation_episodes=10,
        checkpoint_every=1_000,
        **task.run,
    )


def publish(event: CheckpointDue, folder: Path) -> None:
    """Complete under its name, or not there at all."""
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    event.state.save(partial)
    previous = newest_checkpoint(folder)
    partial.rename(folder / f"step-{event.step:08d}")
    if previous is not None:
        shutil.rmtree(previous)


def newest_checkpoint(folder: Path) -> Path | None:
    return max(folder.glob("step-*"), default=None)


def follow(name: str, seed: int, folder: Path) -> dict[str, Any]:
    run = run_of(TASKS[name], seed)
    log = folder / "evaluations.json"
    resume_from = newest_checkpoint(folder)
    evaluations: dict[str, list[float]] = {}
    if resume_from is not None:
        evaluations = json.loads(log.read_text())
    digest = ""
    for event in train(run, resume_from=resume_from):
        if isinstance(event, Evaluated):
            evaluations[str(event.step)] = list(event.returns)
            log.write_text(json.dumps(evaluations))
            print(event.step, sum(event.returns) / len(event.returns), flush=True)
        elif isinstance(event, CheckpointDue):
            publish(event, folder)
        elif isinstance(event, Progressed):
            print(event.step, f"{time.process_time():.0f} s", dict(event.metrics), flush=True)
        elif isinstance(event, Finished):
            digest = event.weights_sha256
    return {"spec": run.spec(), "evaluations": evaluations, "weights_sha256": digest}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("seed", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # HalfCheetah-v4 is the paper's
    work: Path = options.folder / f"{options.task}-seed-{options.seed}"
    work.mkdir(parents=True, exist_ok=True)
    result = follow(options.task, options.seed, work)
    command = ["git", "rev-parse", "--short", "HEAD"]
    result["commit"] = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    result["python"] = platform.python_version()
    result["versions"] = {name: version(name) for name in PACKAGES}
    work.with_suffix(".json").write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
