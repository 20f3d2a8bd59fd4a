"""`python -m benchmarks.learning.random_policy TASK`: what random legal actions return."""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import numpy as np

from benchmarks.learning.paper_tasks import PAPER_TASKS
from benchmarks.learning.playing import play
from benchmarks.learning.small_tasks import SMALL_TASKS
from benchmarks.learning.task import Task
from mrq_core.environments import environment_of

TASKS = {**SMALL_TASKS, **PAPER_TASKS}


def returns_of(task: Task, episodes: int) -> list[float]:
    """Of the environment as the task's runs see it, masks and all; episode n starts from seed n."""
    environment = environment_of(task.training_run(seed=0))
    generator = np.random.default_rng(0)
    choose = partial(environment.codec.uniform, generator)
    return [play(environment, seed, choose) for seed in range(episodes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--episodes", type=int, default=1000)
    options = parser.parse_args()
    returns = returns_of(TASKS[options.task], options.episodes)
    mean = statistics.fmean(returns)
    error = statistics.stdev(returns) / len(returns) ** 0.5
    print(
        f"{options.task}: mean {mean:.3f}, standard error {error:.3f}, least {min(returns):.2f}, "
        f"most {max(returns):.2f}, of {len(returns)} episodes"
    )


if __name__ == "__main__":
    main()
