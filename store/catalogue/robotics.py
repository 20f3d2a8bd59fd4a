"""A Fetch arm: reach, push, pick up and place. An observation has the goal beside it.

Without `Dense` in its name a task gives -1 at each step until the goal is reached, then 0.
"""

from store.catalogue.entry import Area, EnvironmentEntry, Suggestion, reals

LIMIT = 50

AREA = Area(
    name="robotics",
    extra="robotics",
    licence="MIT",
    suggestion=Suggestion(total_steps=1_000_000, preset="paper"),
    module="mrq_core.suites.robotics",
)

# Numbers of an observation: the arm's, and where the object is and should be.
_SIZES = {"Reach": 10 + 3 + 3, "Push": 25 + 3 + 3, "PickAndPlace": 25 + 3 + 3}

ENTRIES: list[EnvironmentEntry] = [
    AREA.row(f"Fetch{task}{reward}-v4", (observed,), reals(4), LIMIT)
    for task, observed in _SIZES.items()
    for reward in ("", "Dense")
]
