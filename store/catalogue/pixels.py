"""Our own tasks of images, small enough for one CPU core."""

from store.catalogue.classic_control import PendulumKwargs
from store.catalogue.entry import Area, EnvironmentEntry, Suggestion, one_of, reals

AREA = Area(
    name="pixels",
    extra="train",
    licence="Apache-2.0",
    suggestion=Suggestion(total_steps=20_000),
    module="mrq_core.tasks",
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("mrq/Catch-v0", (1, 42, 42), one_of(3), 96),
    AREA.row("mrq/PixelPendulum-v0", (1, 42, 42), reals(1), 200, PendulumKwargs),
]
