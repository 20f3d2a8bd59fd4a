"""`python -m benchmarks.learning.fixed_action TASK`: what one and the same action returns.

Every choice; of one number the ends and what lies between them; of several the middle of each,
which mostly is to do nothing. What a policy that looks at nothing can reach. Not for environments
with masks.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.learning.playing import play
from benchmarks.learning.small_tasks import SMALL_TASKS
from benchmarks.learning.task import Task
from mrq_core.actions import Mask
from mrq_core.environments import Environment, environment_of
from mrq_core.spaces import Floats

LEVELS = 13


def actions(environment: Environment) -> Iterator[Floats]:
    """As the network gives them, (A,)."""
    codec = environment.codec
    if codec.discrete:
        yield from np.eye(codec.action_dim, dtype=np.float32)
    elif codec.action_dim == 1:
        yield from np.linspace(-1.0, 1.0, LEVELS, dtype=np.float32)[:, None]
    else:
        yield np.zeros(codec.action_dim, dtype=np.float32)


def returns_of(task: Task, episodes: int) -> Iterator[tuple[str, list[float]]]:
    """For each action, in the environment's own units; episode n starts from seed n."""
    environment = environment_of(task.training_run(seed=0))
    if environment.masked:
        raise SystemExit(f"{task.name} has masks: no action is always legal")
    for action in list(actions(environment)):
        played = [play(environment, seed, _always(action)) for seed in range(episodes)]
        yield str(environment.executable(action)), played


def _always(action: Floats) -> Callable[[Mask | None], Floats]:
    return lambda _: action


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=SMALL_TASKS)
    parser.add_argument("--episodes", type=int, default=20)
    options = parser.parse_args()
    for action, returns in returns_of(SMALL_TASKS[options.task], options.episodes):
        error = statistics.stdev(returns) / len(returns) ** 0.5
        print(f"{action}: mean {statistics.fmean(returns):.2f}, standard error {error:.2f}")


if __name__ == "__main__":
    main()
