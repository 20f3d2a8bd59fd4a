"""`python -m benchmarks.learning.suite`: the small tasks, one run after the other.

Each run writes FOLDER/TASK-seed-SEED.json; a run whose file is there already is left out, and an
interrupted one goes on from its last checkpoint. `python -m benchmarks.learning.report FOLDER`
makes the curves and the table of it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.learning.following import follow
from benchmarks.learning.small_tasks import SMALL_TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the results; outside the repository")
    parser.add_argument("--tasks", nargs="+", choices=SMALL_TASKS, default=list(SMALL_TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--hyperparameters", type=json.loads, default={}, help="JSON; tried instead of the task's"
    )
    options = parser.parse_args()
    changes: dict[str, Any] = options.hyperparameters
    for name in options.tasks:
        for seed in options.seeds:
            task = SMALL_TASKS[name]
            print(name, "seed", seed, flush=True)
            follow(task, task.training_run(seed, changes), options.folder)


if __name__ == "__main__":
    main()
