"""Gymnasium's classic control: small physics without an engine."""

from pydantic import Field

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Suggestion, one_of, reals


class CartPoleKwargs(Kwargs):
    sutton_barto_reward: bool = False


class PendulumKwargs(Kwargs):
    g: float = Field(default=10.0, ge=0.0, le=100.0)


class MountainCarKwargs(Kwargs):
    goal_velocity: float = Field(default=0.0, ge=0.0, le=0.07)


AREA = Area(
    name="classic control",
    extra="train",
    licence="MIT",
    suggestion=Suggestion(total_steps=10_000),
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("CartPole-v1", (4,), one_of(2), 500, CartPoleKwargs),
    AREA.row("Acrobot-v1", (6,), one_of(3), 500),
    AREA.row("MountainCar-v0", (2,), one_of(3), 200, MountainCarKwargs),
    AREA.row("MountainCarContinuous-v0", (2,), reals(1), 999, MountainCarKwargs),
    AREA.row("Pendulum-v1", (3,), reals(1), 200, PendulumKwargs),
]
