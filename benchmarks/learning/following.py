"""Follows one run to its result file; an interrupted one goes on from its last checkpoint."""

from __future__ import annotations

import json
import platform
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.learning.task import Task
from benchmarks.provenance import commit, machine, versions
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Progressed
from mrq_core.run import TrainingRun
from mrq_core.training import train


def follow(task: Task, run: TrainingRun, folder: Path) -> Path:
    """Writes FOLDER/TASK-seed-SEED.json, unless it is there, and returns its path. On one thread,
    so that runs side by side do not disturb each other and one seed gives one result."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # HalfCheetah-v4 is the paper's
    work = folder / f"{task.name}-seed-{run.seed}"
    result = work.with_suffix(".json")
    if result.exists():
        return result
    work.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    learned = Follower(run, work).follow()
    facts = {
        "task": task.name,
        "seed": run.seed,
        "preset": task.preset,
        "total_steps": run.total_steps,
        "action_mode": run.evaluation_mode,
        "seconds": round(time.perf_counter() - begun),  # since the last resume
        "commit": commit(),
        "machine": machine(),
        "python": platform.python_version(),
        "versions": versions(),
    }
    result.write_text(json.dumps(facts | learned, indent=1))
    shutil.rmtree(work)
    return result


class Follower:
    def __init__(self, run: TrainingRun, work: Path) -> None:
        self.run = run
        self.work = work
        self.log = work / "evaluations.json"
        self.resume_from = newest_checkpoint(work)
        self.evaluations: dict[str, list[float]] = {}
        if self.resume_from is not None:
            self.evaluations = json.loads(self.log.read_text())
        self.digest = ""

    def follow(self) -> dict[str, Any]:
        for event in train(self.run, resume_from=self.resume_from):
            self._take(event)
        return {
            "spec": self.run.spec(),
            "evaluations": self.evaluations,
            "weights_sha256": self.digest,
        }

    def _take(self, event: Event) -> None:
        if isinstance(event, Evaluated):
            self.evaluations[str(event.step)] = list(event.returns)
            self.log.write_text(json.dumps(self.evaluations))
            mean = sum(event.returns) / len(event.returns)
            print(f"{event.step} {mean:.2f} ({time.process_time():.0f} s of CPU)", flush=True)
        elif isinstance(event, CheckpointDue):
            publish(event, self.work)
        elif isinstance(event, Progressed) and self.run.total_steps >= 25_000:
            told = {name: round(value, 4) for name, value in event.metrics.items()}
            print(event.step, json.dumps(told), flush=True)
        elif isinstance(event, Finished):
            self.digest = event.weights_sha256


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
