"""The tasks of the comparison.

Small enough that all ninety runs need minutes of one core, not hours. Every algorithm gets the
preset `small` and the same number of steps. All but Q-learning begin with the same number of random
ones; it and DQN have random actions later, too, which become rarer. MR.Q has one setting more than
its preset on the lakes (`mrq`), which was found on such a lake before. CliffWalking-v1 was
among them before any figure was drawn, and is not any more: with seed 0 and 2,500 steps neither
MR.Q nor DQN nor Q-learning reached its goal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mrq_core import config
from mrq_core.baselines.settings import PRESETS, QLearning
from mrq_core.run import TrainingRun

SEEDS = range(5)
DISCRETE = ("mrq", "dqn", "q_learning")
CONTINUOUS = ("mrq", "td3", "sac")


@dataclass(frozen=True, kw_only=True)
class Task:
    """`reached`: the return that counts as learnt. `lowest`: where the figure is cut off."""

    name: str
    environment_id: str
    algorithms: tuple[str, ...]
    total_steps: int
    warmup_steps: int
    reached: float
    lowest: float
    discount: float = 0.99
    options: Mapping[str, Any] = field(default_factory=dict)  # further fields of the TrainingRun
    mrq: Mapping[str, Any] = field(default_factory=dict)

    def training_run(self, algorithm: str, seed: int) -> TrainingRun:
        chosen: dict[str, Any] = {}
        if algorithm == "mrq":
            preset = config.PRESETS["small"]
            changes = {"warmup_steps": self.warmup_steps, "discount": self.discount, **self.mrq}
            chosen["hyperparameters"] = dataclasses.replace(preset, **changes)
        else:
            baseline = PRESETS["small"][algorithm]
            known = {each.name for each in dataclasses.fields(baseline)}
            changes = {"warmup_steps": self.warmup_steps, "discount": self.discount}
            changes["exploration_steps"] = self.total_steps
            if isinstance(baseline, QLearning):
                changes["exploration_steps"] = self.total_steps // 2
            wanted = {name: value for name, value in changes.items() if name in known}
            chosen["baseline"] = dataclasses.replace(baseline, **wanted)
        return TrainingRun(
            environment_id=self.environment_id,
            total_steps=self.total_steps,
            evaluation_every=250,
            checkpoint_every=self.total_steps,
            seed=seed,
            **chosen,
            **self.options,
        )


TASKS = (
    Task(
        name="FrozenLake-v1",
        environment_id="FrozenLake-v1",
        algorithms=DISCRETE,
        total_steps=3_000,
        warmup_steps=1_500,
        reached=1.0,
        lowest=0.0,
        # As in benchmarks/learning: what a reward of 1 at the very end was seen to need.
        discount=0.9,
        mrq={"lap_alpha": 1.0},
        # A greedy policy plays the same episode again and again: one is enough.
        options={"environment_kwargs": {"is_slippery": False}, "evaluation_episodes": 1},
    ),
    Task(
        name="FrozenLake-v1 slippery",
        environment_id="FrozenLake-v1",
        algorithms=DISCRETE,
        total_steps=3_000,
        warmup_steps=1_500,
        reached=0.5,  # the best that there is: about 0.74 within the 100 steps
        lowest=0.0,
        mrq={"lap_alpha": 1.0},
        options={"evaluation_episodes": 30},
    ),
    Task(
        name="Blackjack-v1",
        environment_id="Blackjack-v1",
        algorithms=DISCRETE,
        total_steps=2_000,
        warmup_steps=500,
        reached=-0.1,
        lowest=-1.0,
        options={"evaluation_episodes": 300},
    ),
    Task(
        name="Pendulum-v1",
        environment_id="Pendulum-v1",
        algorithms=CONTINUOUS,
        total_steps=2_500,
        warmup_steps=500,
        reached=-200.0,
        lowest=-1800.0,
        options={"evaluation_episodes": 5},
    ),
    Task(
        name="InvertedPendulum-v5",
        environment_id="InvertedPendulum-v5",
        algorithms=CONTINUOUS,
        total_steps=2_000,
        warmup_steps=500,
        reached=195.0,
        lowest=0.0,
        options={"evaluation_episodes": 5, "max_episode_steps": 200},
    ),
    Task(
        name="Reacher-v5",
        environment_id="Reacher-v5",
        algorithms=CONTINUOUS,
        total_steps=2_000,
        warmup_steps=500,
        reached=-10.0,
        lowest=-60.0,
        options={"evaluation_episodes": 10},
    ),
)
