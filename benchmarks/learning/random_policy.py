"""`python -m benchmarks.learning.random_policy TASK`: what uniformly random actions return."""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import gymnasium

from benchmarks.learning.paper_tasks import PAPER_TASKS
from benchmarks.learning.small_tasks import SMALL_TASKS
from benchmarks.learning.task import Task
from mrq_core.environments import make_environment

TASKS = {**SMALL_TASKS, **PAPER_TASKS}


def returns_of(task: Task, episodes: int) -> list[float]:
    """Of the environment as the task's runs see it; episode n starts from seed n."""
    run = task.training_run(seed=0)
    env = make_environment(
        run.environment_id, run.environment_kwargs, run.max_episode_steps, run.action_repeat
    )
    env.action_space.seed(0)
    return [_play(env, seed) for seed in range(episodes)]


def _play(env: gymnasium.Env[Any, Any], seed: int) -> float:
    env.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        total += float(reward)
        ended = terminated or truncated
    return total


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
