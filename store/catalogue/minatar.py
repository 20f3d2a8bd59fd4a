"""MinAtar: five Atari games on small planes, thousands of steps a second on one CPU core.

Its planes are below the size that convolutions take, so they are flattened.
"""

from pydantic import Field

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Probability, Suggestion, one_of

# Ours: a game that is played well does not end by itself.
LIMIT = 5_000


class MinAtarKwargs(Kwargs):
    sticky_action_prob: Probability = 0.1
    difficulty_ramping: bool = Field(default=True, description="It gets faster as one survives.")


AREA = Area(
    name="minatar",
    extra="minatar",
    licence="GPL",
    suggestion=Suggestion(total_steps=100_000),
    module="mrq_core.suites.minatar",
)

# Planes of 10 by 10, and actions.
_SIZES = {
    "Asterix": (4, 5),
    "Breakout": (4, 3),
    "Freeway": (7, 3),
    "Seaquest": (10, 6),
    "SpaceInvaders": (6, 4),
}

ENTRIES: list[EnvironmentEntry] = [
    AREA.row(f"MinAtar/{game}-v1", (100 * planes,), one_of(actions), LIMIT, MinAtarKwargs)
    for game, (planes, actions) in _SIZES.items()
]
