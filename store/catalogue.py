"""The environments a job may name, with a schema for their kwargs.

An explicit list: `gymnasium.make` imports whatever module an id like `evil:Thing-v0` names, so no
text of a client ever reaches it unless it stands here. No kwarg is a path or a callable. Those of
`mrq/` are our own, in mrq_core/tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mrq_core.observations import DEFAULT_HISTORY, ObservationForm


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


class CarRacingKwargs(Kwargs):
    """Not `continuous`: it changes the action space."""

    lap_complete_percent: Probability = 0.95
    domain_randomize: bool = False


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


class TradingKwargs(Kwargs):
    """Shares of the traded value, of the rows, and a number of rows."""

    fee: float = Field(default=0.001, ge=0.0, le=0.1)
    slippage: float = Field(default=0.0005, ge=0.0, le=0.1)
    allow_short: bool = False
    relative: bool = True
    validation_fraction: float = Field(default=0.2, ge=0.05, le=0.4)
    test_fraction: float = Field(default=0.2, ge=0.05, le=0.4)
    embargo: int = Field(default=5, ge=0, le=250)


ObservationKind = Literal["vector", "pixels"]
ActionKind = Literal["discrete", "continuous", "multi_discrete", "multi_binary"]


@dataclass(frozen=True, kw_only=True)
class EnvironmentEntry:
    """`frame_shape` is of one observation as it is stored: (D,) flattened, or (C, H, W) pixels.

    `action_components` are the sizes of the choices that an action is made of, () if continuous.
    `masked`: the environment says which actions are legal. `max_episode_steps` is ours where the
    environment has no limit of its own; it counts the environment's own steps.
    """

    id: str
    area: Literal["classic control", "toy text", "box2d", "mujoco", "pixels", "markets"]
    observation_kind: ObservationKind
    frame_shape: tuple[int, ...]
    action_kind: ActionKind
    action_dim: int
    action_components: tuple[int, ...] = ()
    masked: bool = False
    max_episode_steps: int
    kwargs: type[Kwargs] = Kwargs
    module: str = ""  # whose import registers it, where that is not Gymnasium
    # A job needs a dataset of this role, and `frame_shape` follows from its columns: what stands
    # here is of a dataset without any but the needed ones.
    dataset_role: Literal["", "timeseries"] = ""

    @property
    def gymnasium_id(self) -> str:
        """With what has to be imported first, as `gymnasium.make` understands it."""
        return f"{self.module}:{self.id}" if self.module else self.id

    def form(self, history: int | None = None) -> ObservationForm:
        """How observations reach the network; None: as many frames as their kind needs."""
        frames = DEFAULT_HISTORY[self.observation_kind] if history is None else history
        return ObservationForm(self.observation_kind, self.frame_shape, frames)


def _entries() -> list[EnvironmentEntry]:
    def row(
        id: str,
        area: Any,
        frame_shape: tuple[int, ...],
        action: Mapping[str, Any],
        limit: int,
        kwargs: type[Kwargs] = Kwargs,
        *,
        masked: bool = False,
        module: str = "",
        dataset_role: Any = "",
    ) -> EnvironmentEntry:
        return EnvironmentEntry(
            id=id,
            area=area,
            observation_kind="pixels" if len(frame_shape) == 3 else "vector",
            frame_shape=frame_shape,
            **action,
            masked=masked,
            max_episode_steps=limit,
            kwargs=kwargs,
            module=module,
            dataset_role=dataset_role,
        )

    def one_of(n: int) -> Mapping[str, Any]:
        return {"action_kind": "discrete", "action_dim": n, "action_components": (n,)}

    def reals(n: int) -> Mapping[str, Any]:
        return {"action_kind": "continuous", "action_dim": n}

    classic, toy, box2d, mujoco = "classic control", "toy text", "box2d", "mujoco"
    return [
        row("CartPole-v1", classic, (4,), one_of(2), 500, CartPoleKwargs),
        row("Acrobot-v1", classic, (6,), one_of(3), 500),
        row("MountainCar-v0", classic, (2,), one_of(3), 200, MountainCarKwargs),
        row("MountainCarContinuous-v0", classic, (2,), reals(1), 999, MountainCarKwargs),
        row("Pendulum-v1", classic, (3,), reals(1), 200, PendulumKwargs),
        row("FrozenLake-v1", toy, (16,), one_of(4), 100, FrozenLakeKwargs),
        row("FrozenLake8x8-v1", toy, (64,), one_of(4), 200, FrozenLakeKwargs),
        row("Taxi-v4", toy, (500,), one_of(6), 200, TaxiKwargs, masked=True),
        row("CliffWalking-v1", toy, (48,), one_of(4), 500, CliffWalkingKwargs),
        row("Blackjack-v1", toy, (45,), one_of(2), 100, BlackjackKwargs),
        row("LunarLander-v3", box2d, (8,), one_of(4), 1000, LunarLanderKwargs),
        row("LunarLanderContinuous-v3", box2d, (8,), reals(2), 1000, LunarLanderKwargs),
        row("BipedalWalker-v3", box2d, (24,), reals(4), 1600),
        row("BipedalWalkerHardcore-v3", box2d, (24,), reals(4), 2000),
        row("CarRacing-v3", box2d, (3, 96, 96), reals(3), 1000, CarRacingKwargs),
        row("mrq/Catch-v0", "pixels", (1, 42, 42), one_of(3), 96, module="mrq_core.tasks"),
        row(
            "mrq/PixelPendulum-v0",
            "pixels",
            (1, 42, 42),
            reals(1),
            200,
            PendulumKwargs,
            module="mrq_core.tasks",
        ),
        row(
            "mrq/Trading-v0",
            "markets",
            (6,),
            one_of(3),
            250,
            TradingKwargs,
            module="mrq_core.tasks",
            dataset_role="timeseries",
        ),
        row("Ant-v5", mujoco, (105,), reals(8), 1000, WalkerKwargs),
        row("HalfCheetah-v5", mujoco, (17,), reals(6), 1000, RunnerKwargs),
        row("Hopper-v5", mujoco, (11,), reals(3), 1000, WalkerKwargs),
        row("Walker2d-v5", mujoco, (17,), reals(6), 1000, WalkerKwargs),
        row("Humanoid-v5", mujoco, (348,), reals(17), 1000, WalkerKwargs),
        row("HumanoidStandup-v5", mujoco, (348,), reals(17), 1000),
        row("InvertedPendulum-v5", mujoco, (4,), reals(1), 1000),
        row("InvertedDoublePendulum-v5", mujoco, (9,), reals(1), 1000),
        row("Reacher-v5", mujoco, (10,), reals(2), 50, ReacherKwargs),
        row("Pusher-v5", mujoco, (23,), reals(7), 100),
        row("Swimmer-v5", mujoco, (8,), reals(2), 1000, RunnerKwargs),
    ]


CATALOGUE: Mapping[str, EnvironmentEntry] = {entry.id: entry for entry in _entries()}
