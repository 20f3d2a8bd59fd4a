"""The result files of the runs, read back."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.learning.paper_tasks import PAPER_TASKS
from benchmarks.learning.small_tasks import SMALL_TASKS
from benchmarks.learning.task import Task
from mrq_core.config import PRESETS

TASKS: Mapping[str, Task] = {**SMALL_TASKS, **PAPER_TASKS}


@dataclass(frozen=True)
class Evaluation:
    """Of the returns of its episodes."""

    step: int
    mean: float
    least: float
    most: float
    episodes: int


@dataclass(frozen=True)
class Result:
    """`changes`: the hyperparameters in which the run differed from its task's preset."""

    task: Task
    seed: int
    evaluations: tuple[Evaluation, ...]
    changes: Mapping[str, Any]
    action_mode: str
    commit: str
    machine: str
    versions: Mapping[str, str]

    @property
    def last(self) -> Evaluation:
        return self.evaluations[-1]

    @property
    def best(self) -> Evaluation:
        return max(self.evaluations, key=lambda evaluation: evaluation.mean)


def read_results(folders: Iterable[Path]) -> list[Result]:
    """In the order of the tasks, then of the seeds."""
    results = [read_result(path) for folder in folders for path in folder.glob("*-seed-*.json")]
    order = list(TASKS)
    return sorted(results, key=lambda result: (order.index(result.task.name), result.seed))


def read_result(path: Path) -> Result:
    name, _, seed = path.stem.rpartition("-seed-")
    task, stored = TASKS[name], json.loads(path.read_text())
    used, preset = stored["spec"]["hyperparameters"], dataclasses.asdict(PRESETS[task.preset])
    return Result(
        task=task,
        seed=int(seed),
        evaluations=tuple(sorted(_evaluations(stored), key=lambda each: each.step)),
        changes={field: value for field, value in used.items() if value != preset[field]},
        # The first result files did not name these two.
        action_mode=stored.get("action_mode", "deterministic"),
        machine=stored.get("machine", "x86_64, CPU only"),
        commit=stored["commit"],
        versions={"Python": stored["python"], **stored["versions"]},
    )


def _evaluations(stored: Mapping[str, Any]) -> Iterator[Evaluation]:
    """The first runs kept no episode's return, only what the curves show."""
    for step, returns in stored.get("evaluations", {}).items():
        facts = (statistics.fmean(returns), min(returns), max(returns), len(returns))
        yield Evaluation(int(step), *facts)
    for step, (mean, least, most, episodes) in stored.get("summaries", {}).items():
        yield Evaluation(int(step), mean, least, most, episodes)
