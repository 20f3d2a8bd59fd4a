"""The environments a job may name, with a schema for their kwargs: one file for each area.

An explicit list: `gymnasium.make` imports whatever module an id like `evil:Thing-v0` names, so no
text of a client ever reaches it unless it stands here. No kwarg is a path or a callable. Those of
`mrq/` are our own, in mrq_core/tasks.
"""

from collections.abc import Mapping
from pathlib import Path

from store.catalogue import (
    atari,
    box2d,
    classic_control,
    dm_control,
    dm_control_pixels,
    driving,
    drone,
    games,
    health,
    logs,
    markets,
    minatar,
    mujoco,
    pixels,
    recommendation,
    robotics,
    toy_text,
)
from store.catalogue.entry import EnvironmentEntry as EnvironmentEntry
from store.catalogue.entry import Kwargs as Kwargs
from store.catalogue.own import read_own
from store.errors import SetupError

# The order in which they are shown.
AREAS = (
    classic_control,
    toy_text,
    box2d,
    pixels,
    mujoco,
    dm_control,
    dm_control_pixels,
    robotics,
    driving,
    drone,
    minatar,
    atari,
    games,
    health,
    markets,
    logs,
    recommendation,
)

OURS: Mapping[str, EnvironmentEntry] = {entry.id: entry for area in AREAS for entry in area.ENTRIES}
_all = dict(OURS)
CATALOGUE: Mapping[str, EnvironmentEntry] = _all
"""What a job may train on. `use_own_environments` adds those of the operator."""


def use_own_environments(file: Path | None) -> None:
    """For this whole process, in place of those of another file. Each process that reads job specs
    calls it when it starts."""
    own = [] if file is None else read_own(file)
    for taken in (entry.id for entry in own if entry.id in OURS):
        raise SetupError(f"environments_file {file}: {taken} is in the catalogue already")
    for id in _all.keys() - OURS.keys():
        del _all[id]
    _all.update({entry.id: entry for entry in own})
