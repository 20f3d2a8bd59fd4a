"""Small tasks that one CPU core learns in minutes, with preset `small`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.learning.task import Task


def _options(evaluation_every: int, **further: Any) -> Mapping[str, Any]:
    return {
        "evaluation_every": evaluation_every,
        "evaluation_episodes": 20,
        "checkpoint_every": 2_000,
        **further,
    }


# One episode at a time: without slipping, a greedy policy plays the same one again and again.
_NOT_SLIPPERY = {"environment_kwargs": {"is_slippery": False}, "evaluation_episodes": 1}
# What a reward of 1 at the end of an episode, and 0 everywhere else, was seen to need, on seed 0 of
# the larger lake. A warm-up long enough for random actions to reach the goal a few times: what was
# never seen cannot be learned. The other two have reasons that we believe and did not measure. A
# discount of 0.9: at 0.99 running into a wall costs 1 % of the value, perhaps less than the
# networks' error, and a greedy policy may do so for ever. `lap_alpha` 1: a handful of transitions
# among tens of thousands has a reward, and its large error has to get it replayed.
_SPARSE = {"discount": 0.9, "lap_alpha": 1.0}

_TASKS = (
    Task(
        name="FrozenLake-4x4",
        environment_id="FrozenLake-v1",
        total_steps=9_000,
        changes={**_SPARSE, "warmup_steps": 4_000},
        options=_options(500, **_NOT_SLIPPERY),
        wanted=0.95,
        remark="the only reward is 1 at the terminating step; with the preset unchanged, seed 0 "
        "stood at 1.00 from step 2,000 to 8,500 and at 0.00 from 9,000 to 10,000",
    ),
    # Random actions reach this goal in about one of 500 episodes of 30 steps.
    Task(
        name="FrozenLake-8x8",
        environment_id="FrozenLake8x8-v1",
        total_steps=58_000,
        changes={**_SPARSE, "warmup_steps": 50_000},
        options=_options(1_000, **_NOT_SLIPPERY),
        wanted=0.95,
        remark="the only reward is 1 at the terminating step, 14 steps away; the settings were "
        "chosen on seed 0, after one attempt at `lap_alpha` 0.4 that had learned nothing by 50,500",
    ),
    Task(
        name="CartPole-v1",
        environment_id="CartPole-v1",
        total_steps=15_000,
        options=_options(500),
        wanted=475.0,
    ),
    Task(
        name="Acrobot-v1",
        environment_id="Acrobot-v1",
        total_steps=15_000,
        options=_options(500),
        wanted=-100.0,
    ),
    Task(
        name="LunarLander-v3",
        environment_id="LunarLander-v3",
        total_steps=40_000,
        options=_options(1_000),
        wanted=200.0,
    ),
    Task(
        name="Pendulum-v1",
        environment_id="Pendulum-v1",
        total_steps=6_000,
        options=_options(500),
        wanted=-200.0,
    ),
    Task(
        name="MountainCarContinuous-v0",
        environment_id="MountainCarContinuous-v0",
        total_steps=20_000,
        options=_options(1_000),
        wanted=90.0,
        remark="a random policy almost never reaches the flag, and every action costs",
    ),
    # About a fifth of what random actions cost (-1231, `benchmarks.learning.random_policy`);
    # Pendulum-v1, whose observation tells angle and speed, is wanted to reach -200.
    Task(
        name="PixelPendulum",
        environment_id="mrq/PixelPendulum-v0",
        total_steps=8_000,
        options=_options(500),
        registers="mrq_core.tasks",
        wanted=-250.0,
        remark="42x42 gray pixels through the convolutions; random actions return -1,231 on "
        "average (1,000 episodes). Of `mrq/Catch-v0`, whose reward comes every twelfth step, "
        "seed 0 had learned nothing by step 6,000 with the same preset",
    ),
    Task(
        name="ConnectFour",
        environment_id="mrq/ConnectFour-v0",
        total_steps=20_000,
        options=_options(2_000, evaluation_episodes=100),
        registers="mrq_core.tasks",
        wanted=0.8,
        remark="1 for a game won and -1 for one lost against random moves, in 100 games; "
        "random moves return -0.06 on average (1,000 games), and an untrained network, which "
        "always plays alike, 0.58",
    ),
    Task(
        name="Highway",
        environment_id="highway-fast-v0",
        total_steps=6_000,
        options=_options(1_000, evaluation_episodes=20),
        registers="highway_env",
        wanted=21.5,
        remark="what is wanted is the return of the best fixed action, to go slower all the time "
        "(20 episodes); random actions return 9.1 (50 episodes)",
    ),
    Task(
        name="Glucose",
        environment_id="glucosim/BasalControl-v0",
        total_steps=6_000,
        # A dose is held for a quarter of an hour, and an episode is a day.
        options=_options(
            500,
            evaluation_episodes=20,
            action_repeat=15,
            max_episode_steps=96,
            limit_terminates=True,
        ),
        registers="glucosim",
        wanted=977.0,
        remark="what is wanted is the return of the best of 13 fixed rates, 1 unit an hour, for "
        "everybody (30 patients, standard error 30); random rates return 685 (30 patients, "
        "standard error 96). The runs pass it and fall back again and again, to about what no "
        "insulin at all returns (757): the best checkpoint, which a job keeps, is better than the "
        "last, of seed 1 by far",
    ),
    Task(
        name="MinAtar-Breakout",
        environment_id="MinAtar/Breakout-v1",
        total_steps=10_000,
        options=_options(1_000, evaluation_episodes=20, max_episode_steps=5_000),
        registers="mrq_core.suites.minatar",
        wanted=2.0,
        remark="random actions return 0.40 (300 episodes); five times that is wanted",
    ),
    Task(
        name="ICU-Sepsis",
        environment_id="Sepsis/ICU-Sepsis-v2",
        total_steps=16_000,
        options=_options(4_000, evaluation_episodes=500),
        registers="mrq_core.suites.icu_sepsis",
        wanted=0.82,
        remark="the share of 500 patients who survive. Exactly, from the package's tables "
        "(`python -m benchmarks.learning.sepsis`): 0.7801 with every legal action alike, 0.7818 as "
        "clinicians did, 0.8751 with the best policy. An evaluation's standard error is 0.018, and "
        "two of them above chance are wanted: nothing was learnt that this could show. Q-learning "
        "in a table learns it, 0.862 to 0.863 exactly in 500,000 steps (sepsis.json, three seeds, "
        "`python -m benchmarks.learning.sepsis_learnt`)",
    ),
    Task(
        name="FetchReach",
        environment_id="FetchReachDense-v4",
        total_steps=10_000,
        options=_options(1_000),
        registers="mrq_core.suites.robotics",
        wanted=-2.5,
        remark="the reward of each of 50 steps is minus the metres from the gripper to its goal; "
        "wanted are 5 cm on average, at which the simulator says that it is there; random actions "
        "return -9.9 (200 episodes)",
    ),
    Task(
        name="Drone",
        environment_id="mrq/DroneAvoid-v0",
        total_steps=20_000,
        options=_options(1_000),
        registers="mrq_core.tasks",
        wanted=20.0,
        remark="a straight flight that arrives returns about 24, a crash at the start -5; wanted "
        "is about four arrivals of five; random actions return -6.8 (200 episodes)",
    ),
)

SMALL_TASKS: Mapping[str, Task] = {task.name: task for task in _TASKS}
