"""`python -m benchmarks.learning.paper TASK SEED FOLDER`: one run by the paper's protocol.

Preset `paper` at the first published budget. Hours on a CPU, so it goes on from the last checkpoint
in FOLDER if there is one. Writes FOLDER/TASK-seed-SEED.json when it is done;
`python -m benchmarks.learning.report FOLDER` makes the curves and the table of it.
"""

import argparse
from pathlib import Path

from benchmarks.learning.following import follow
from benchmarks.learning.paper_tasks import PAPER_TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=PAPER_TASKS)
    parser.add_argument("seed", type=int)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    task = PAPER_TASKS[options.task]
    follow(task, task.training_run(options.seed), options.folder)


if __name__ == "__main__":
    main()
