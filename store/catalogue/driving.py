"""Cars among others on a highway, at a junction, in a car park and on a race track.

Highway, merge and roundabout are driven by choices (lane left or right, faster, slower, stay), the
car park by steering and pedal, the race track by steering alone.
"""

from store.catalogue.entry import Area, EnvironmentEntry, Suggestion, one_of, reals

AREA = Area(
    name="driving",
    extra="driving",
    licence="MIT",
    suggestion=Suggestion(total_steps=20_000),
    module="highway_env",
)

# Five cars, five numbers each.
CARS = (25,)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("highway-fast-v0", CARS, one_of(5), 30),
    # Ours: it ends where the ramp does, within about 20 steps of one second.
    AREA.row("merge-v1", CARS, one_of(5), 50),
    AREA.row("roundabout-v1", CARS, one_of(5), 11),
    AREA.row("parking-v0", (18,), reals(2), 500),
    AREA.row("racetrack-v1", (288,), reals(1), 1500),
]
