"""`python -m benchmarks.baselines.runs FOLDER`: trains, one run after the other, what is not there.

One thread and one process; a seed of every task and algorithm before the next seed, so that what
was interrupted is still a comparison. An interrupted run begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import torch

from benchmarks.baselines.tasks import SEEDS, TASKS, Task
from benchmarks.learning.following import Follower
from benchmarks.provenance import commit, machine, versions
from mrq_core.baselines import library  # noqa: F401  before the clock of the first run starts


def name_of(task: Task, algorithm: str, seed: int) -> str:
    return f"{task.name.replace(' ', '-')}-{algorithm}-seed-{seed}"


def train(task: Task, algorithm: str, seed: int, folder: Path, of: str) -> None:
    """Writes FOLDER/TASK-ALGORITHM-seed-SEED.json."""
    work = folder / name_of(task, algorithm, seed)
    work.mkdir(parents=True, exist_ok=True)
    wall, cpu = time.perf_counter(), time.process_time()
    learned = Follower(task.training_run(algorithm, seed), work).follow()
    facts = {
        "task": task.name,
        "algorithm": algorithm,
        "seed": seed,
        "total_steps": task.total_steps,
        "seconds": round(time.perf_counter() - wall),
        "cpu_seconds": round(time.process_time() - cpu),
        "commit": of,
        "machine": machine(),
        "python": platform.python_version(),
        "versions": versions(),
    }
    work.with_suffix(".json").write_text(json.dumps(facts | learned))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the raw runs; outside the repository")
    folder = parser.parse_args().folder
    os.nice(19)
    torch.set_num_threads(1)
    of = commit()
    for seed in SEEDS:
        for task in TASKS:
            for algorithm in task.algorithms:
                name = name_of(task, algorithm, seed)
                if not (folder / f"{name}.json").exists():
                    print(name, flush=True)
                    train(task, algorithm, seed, folder, of)
    return 0


if __name__ == "__main__":
    sys.exit(main())
