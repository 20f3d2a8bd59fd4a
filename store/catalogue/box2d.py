"""Gymnasium's tasks on Box2D: a lander, a walker, a racing car."""

from pydantic import Field

from store.catalogue.entry import (
    Area,
    EnvironmentEntry,
    Kwargs,
    Probability,
    Suggestion,
    one_of,
    reals,
)


class LunarLanderKwargs(Kwargs):
    gravity: float = Field(default=-10.0, gt=-12.0, lt=0.0)
    enable_wind: bool = False
    wind_power: float = Field(default=15.0, ge=0.0, le=20.0)
    turbulence_power: float = Field(default=1.5, ge=0.0, le=2.0)


class CarRacingKwargs(Kwargs):
    """Not `continuous`: it changes the action space."""

    lap_complete_percent: Probability = 0.95
    domain_randomize: bool = False


AREA = Area(
    name="box2d",
    extra="train",
    licence="MIT, Box2D zlib",
    suggestion=Suggestion(total_steps=200_000),
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("LunarLander-v3", (8,), one_of(4), 1000, LunarLanderKwargs),
    AREA.row("LunarLanderContinuous-v3", (8,), reals(2), 1000, LunarLanderKwargs),
    AREA.row("BipedalWalker-v3", (24,), reals(4), 1600),
    AREA.row("BipedalWalkerHardcore-v3", (24,), reals(4), 2000),
    AREA.row("CarRacing-v3", (3, 96, 96), reals(3), 1000, CarRacingKwargs),
]
