"""Gymnasium's tasks on MuJoCo: walkers, runners, arms and poles."""

from store.catalogue.entry import (
    Area,
    EnvironmentEntry,
    Kwargs,
    Scale,
    Suggestion,
    Weight,
    reals,
)


class RunnerKwargs(Kwargs):
    """HalfCheetah and Swimmer."""

    forward_reward_weight: Weight | None = None
    ctrl_cost_weight: Weight | None = None
    reset_noise_scale: Scale | None = None


class WalkerKwargs(RunnerKwargs):
    """Ant, Hopper, Walker2d and Humanoid: they can fall."""

    healthy_reward: Weight | None = None
    terminate_when_unhealthy: bool | None = None


class ReacherKwargs(Kwargs):
    reward_dist_weight: Weight = 1.0
    reward_control_weight: Weight = 1.0


AREA = Area(
    name="mujoco",
    extra="train",
    licence="MIT, MuJoCo Apache-2.0",
    suggestion=Suggestion(total_steps=1_000_000, preset="paper"),
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("Ant-v5", (105,), reals(8), 1000, WalkerKwargs),
    AREA.row("HalfCheetah-v5", (17,), reals(6), 1000, RunnerKwargs),
    AREA.row("Hopper-v5", (11,), reals(3), 1000, WalkerKwargs),
    AREA.row("Walker2d-v5", (17,), reals(6), 1000, WalkerKwargs),
    AREA.row("Humanoid-v5", (348,), reals(17), 1000, WalkerKwargs),
    AREA.row("HumanoidStandup-v5", (348,), reals(17), 1000),
    AREA.row("InvertedPendulum-v5", (4,), reals(1), 1000),
    AREA.row("InvertedDoublePendulum-v5", (9,), reals(1), 1000),
    AREA.row("Reacher-v5", (10,), reals(2), 50, ReacherKwargs),
    AREA.row("Pusher-v5", (23,), reals(7), 100),
    AREA.row("Swimmer-v5", (8,), reals(2), 1000, RunnerKwargs),
]
