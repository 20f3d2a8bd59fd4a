"""The environments a job may name, with a schema for their kwargs: one file for each area.

An explicit list: `gymnasium.make` imports whatever module an id like `evil:Thing-v0` names, so no
text of a client ever reaches it unless it stands here. No kwarg is a path or a callable. Those of
`mrq/` are our own, in mrq_core/tasks.
"""

from collections.abc import Mapping

from store.catalogue import (
    atari,
    box2d,
    classic_control,
    dm_control,
    driving,
    drone,
    games,
    health,
    minatar,
    mujoco,
    pixels,
    robotics,
    toy_text,
)
from store.catalogue.entry import EnvironmentEntry as EnvironmentEntry
from store.catalogue.entry import Kwargs as Kwargs

# The order in which they are shown.
AREAS = (
    classic_control,
    toy_text,
    box2d,
    pixels,
    mujoco,
    dm_control,
    robotics,
    driving,
    drone,
    minatar,
    atari,
    games,
    health,
)

CATALOGUE: Mapping[str, EnvironmentEntry] = {
    entry.id: entry for area in AREAS for entry in area.ENTRIES
}
"""What a job may train on."""
