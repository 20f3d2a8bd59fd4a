"""The environments a job may name, with a schema for their kwargs.

An explicit list: `gymnasium.make` imports whatever module an id like `evil:Thing-v0` names, so no
text of a client ever reaches it unless it stands here. No kwarg is a path or a callable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Kwargs(BaseModel):
    """No kwargs. Subclasses add those that leave the spaces as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Weight = Annotated[float, Field(ge=-1000.0, le=1000.0)]
Scale = Annotated[float, Field(ge=0.0, le=10.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class CartPoleKwargs(Kwargs):
    sutton_barto_reward: bool = False


class PendulumKwargs(Kwargs):
    g: float = Field(default=10.0, ge=0.0, le=100.0)


class MountainCarKwargs(Kwargs):
    goal_velocity: float = Field(default=0.0, ge=0.0, le=0.07)


class FrozenLakeKwargs(Kwargs):
    is_slippery: bool = True
    success_rate: Probability = 1 / 3


class TaxiKwargs(Kwargs):
    is_rainy: bool = False
    fickle_passenger: bool = False


class BlackjackKwargs(Kwargs):
    natural: bool = False
    sab: bool = True


class CliffWalkingKwargs(Kwargs):
    is_slippery: bool = False


class LunarLanderKwargs(Kwargs):
    gravity: float = Field(default=-10.0, gt=-12.0, lt=0.0)
    enable_wind: bool = False
    wind_power: float = Field(default=15.0, ge=0.0, le=20.0)
    turbulence_power: float = Field(default=1.5, ge=0.0, le=2.0)


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


@dataclass(frozen=True, kw_only=True)
class EnvironmentEntry:
    """Sizes are of the network's flattened input and output.

    `max_episode_steps` is ours where the environment has no limit of its own.
    """

    id: str
    area: Literal["classic control", "toy text", "box2d", "mujoco"]
    observation_dim: int
    action_dim: int
    action_kind: Literal["discrete", "continuous"]
    max_episode_steps: int
    kwargs: type[Kwargs] = Kwargs


def _entries() -> list[EnvironmentEntry]:
    def row(
        id: str, area: Any, sizes: tuple[int, int], kind: Any, limit: int, kwargs: Any = Kwargs
    ) -> EnvironmentEntry:
        return EnvironmentEntry(
            id=id,
            area=area,
            observation_dim=sizes[0],
            action_dim=sizes[1],
            action_kind=kind,
            max_episode_steps=limit,
            kwargs=kwargs,
        )

    classic, toy, box2d, mujoco = "classic control", "toy text", "box2d", "mujoco"
    discrete, continuous = "discrete", "continuous"
    return [
        row("CartPole-v1", classic, (4, 2), discrete, 500, CartPoleKwargs),
        row("Acrobot-v1", classic, (6, 3), discrete, 500),
        row("MountainCar-v0", classic, (2, 3), discrete, 200, MountainCarKwargs),
        row("MountainCarContinuous-v0", classic, (2, 1), continuous, 999, MountainCarKwargs),
        row("Pendulum-v1", classic, (3, 1), continuous, 200, PendulumKwargs),
        row("FrozenLake-v1", toy, (16, 4), discrete, 100, FrozenLakeKwargs),
        row("FrozenLake8x8-v1", toy, (64, 4), discrete, 200, FrozenLakeKwargs),
        row("Taxi-v4", toy, (500, 6), discrete, 200, TaxiKwargs),
        row("CliffWalking-v1", toy, (48, 4), discrete, 500, CliffWalkingKwargs),
        row("Blackjack-v1", toy, (45, 2), discrete, 100, BlackjackKwargs),
        row("LunarLander-v3", box2d, (8, 4), discrete, 1000, LunarLanderKwargs),
        row("LunarLanderContinuous-v3", box2d, (8, 2), continuous, 1000, LunarLanderKwargs),
        row("BipedalWalker-v3", box2d, (24, 4), continuous, 1600),
        row("BipedalWalkerHardcore-v3", box2d, (24, 4), continuous, 2000),
        row("Ant-v5", mujoco, (105, 8), continuous, 1000, WalkerKwargs),
        row("HalfCheetah-v5", mujoco, (17, 6), continuous, 1000, RunnerKwargs),
        row("Hopper-v5", mujoco, (11, 3), continuous, 1000, WalkerKwargs),
        row("Walker2d-v5", mujoco, (17, 6), continuous, 1000, WalkerKwargs),
        row("Humanoid-v5", mujoco, (348, 17), continuous, 1000, WalkerKwargs),
        row("HumanoidStandup-v5", mujoco, (348, 17), continuous, 1000),
        row("InvertedPendulum-v5", mujoco, (4, 1), continuous, 1000),
        row("InvertedDoublePendulum-v5", mujoco, (9, 1), continuous, 1000),
        row("Reacher-v5", mujoco, (10, 2), continuous, 50, ReacherKwargs),
        row("Pusher-v5", mujoco, (23, 7), continuous, 100),
        row("Swimmer-v5", mujoco, (8, 2), continuous, 1000, RunnerKwargs),
    ]


CATALOGUE: Mapping[str, EnvironmentEntry] = {entry.id: entry for entry in _entries()}
