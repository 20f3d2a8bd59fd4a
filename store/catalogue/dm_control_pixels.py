"""DeepMind's control suite through a camera: the 28 tasks on which the paper reports, from pixels.

Their protocol is an action repeat of 2 and three pictures as one observation (`suggested`).
"""

from store.catalogue import dm_control
from store.catalogue.entry import Area, EnvironmentEntry, Suggestion, reals

PICTURE = (3, 84, 84)

AREA = Area(
    name="dm_control pixels",
    extra="dmc",
    licence="Apache-2.0",
    suggestion=Suggestion(total_steps=500_000, preset="paper", action_repeat=2, history=3),
    module="mrq_core.suites.dm_control_pixels",
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row(
        state.id.replace("dm_control/", "dm_control_pixels/"),
        PICTURE,
        reals(state.action_dim),
        dm_control.LIMIT,
    )
    for state in dm_control.ENTRIES
]
