"""Our own drone that avoids what its beams feel: mrq_core/tasks/drone_avoid.py."""

from pydantic import Field

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Suggestion, reals


class DroneKwargs(Kwargs):
    pillars: int = Field(default=8, ge=0, le=12)


AREA = Area(
    name="drone",
    extra="train",
    licence="Apache-2.0, MuJoCo Apache-2.0",
    suggestion=Suggestion(total_steps=200_000),
    module="mrq_core.tasks",
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("mrq/DroneAvoid-v0", (24,), reals(4), 400, DroneKwargs),
]
