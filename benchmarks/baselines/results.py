"""The curves that are kept in the tree: one file for each task, of all its algorithms and seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.baselines.tasks import TASKS, Task
from store.curves import Curve

KEPT = Path(__file__).parent / "curves"


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Of one task: each algorithm's curves, by seed."""

    task: Task
    curves: dict[str, dict[int, Curve]]
    facts: dict[str, Any]


def file_of(task: Task) -> Path:
    return KEPT / f"{task.name.lower().replace(' ', '-')}.json"


def keep(folder: Path) -> None:
    """Writes KEPT from the runs of FOLDER; a task without a finished run has no file."""
    KEPT.mkdir(exist_ok=True)
    for task in TASKS:
        found = [json.loads(path.read_text()) for path in sorted(_paths(folder, task))]
        if not found:
            continue
        kept = {
            "task": task.name,
            "total_steps": task.total_steps,
            "python": found[0]["python"],
            "versions": found[0]["versions"],
            "machine": found[0]["machine"],
            "commits": sorted({each["commit"] for each in found}),
            "settings": {
                each["algorithm"]: each["spec"]["hyperparameters"] for each in reversed(found)
            },
            "runs": [_run(each) for each in found],
        }
        file_of(task).write_text(_compact(kept))


def _paths(folder: Path, task: Task) -> Iterator[Path]:
    name = task.name.replace(" ", "-")
    for algorithm in task.algorithms:
        yield from folder.glob(f"{name}-{algorithm}-seed-*.json")


def _run(result: dict[str, Any]) -> dict[str, Any]:
    steps = sorted(map(int, result["evaluations"]))
    means = [statistics.fmean(result["evaluations"][str(step)]) for step in steps]
    return {
        "algorithm": result["algorithm"],
        "seed": result["seed"],
        "cpu_seconds": result["cpu_seconds"],
        "steps": steps,
        "returns": [float(f"{mean:.5g}") for mean in means],
    }


def _compact(kept: dict[str, Any]) -> str:
    """One run a line, so that a difference can be read."""
    runs = ",\n".join(json.dumps(run) for run in kept["runs"])
    rest = json.dumps({k: v for k, v in kept.items() if k != "runs"}, indent=1)
    return f'{rest[:-2]},\n "runs": [\n{runs}\n]}}\n'


def read() -> list[Runs]:
    return [_read(task) for task in TASKS if file_of(task).exists()]


def _read(task: Task) -> Runs:
    stored = json.loads(file_of(task).read_text())
    curves: dict[str, dict[int, Curve]] = {algorithm: {} for algorithm in task.algorithms}
    for run in stored["runs"]:
        points = list(zip(run["steps"], run["returns"], strict=True))
        curves[run["algorithm"]][run["seed"]] = points
    return Runs(task=task, curves=curves, facts=stored)
