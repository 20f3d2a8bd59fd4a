"""The paper's protocol at its first published budget (arXiv 2501.16142, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.learning.task import Task

TOTAL_STEPS = 25_000

# Ten noiseless episodes at step 0 and every 5,000.
_PROTOCOL: Mapping[str, Any] = {
    "evaluation_every": 5_000,
    "evaluation_episodes": 10,
    "checkpoint_every": 1_000,
}
# Two physics steps to an action, 500 actions to an episode.
_DMC = {**_PROTOCOL, "action_repeat": 2, "max_episode_steps": 500}


def _dmc(name: str) -> Task:
    return Task(
        name=name,
        environment_id=f"dm_control/{name}-v0",
        total_steps=TOTAL_STEPS,
        preset="paper",
        options=_DMC,
        registers="shimmy",
        published=f"Dmc-{name}",
    )


_HALF_CHEETAH = Task(
    name="HalfCheetah-v4",
    environment_id="HalfCheetah-v4",
    total_steps=TOTAL_STEPS,
    preset="paper",
    options=_PROTOCOL,
    published="Gym-HalfCheetah-v4",
)

PAPER_TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        _dmc("cartpole-swingup"),
        _dmc("ball_in_cup-catch"),
        _dmc("reacher-easy"),
        _HALF_CHEETAH,
    )
}
