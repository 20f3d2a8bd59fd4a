"""A log of transitions in the place of an environment: learnt from, and never acted in."""

from pydantic import Field

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Suggestion, one_of


class LoggedKwargs(Kwargs):
    validation_fraction: float = Field(
        default=0.25,
        ge=0.0,
        le=0.5,
        description="Of the episodes: judged by, and not learnt from. 0: no evaluations.",
    )


AREA = Area(
    name="logs",
    extra="train",
    licence="Apache-2.0",
    suggestion=Suggestion(total_steps=10_000),
    module="mrq_core.tasks",
)

# Its spaces follow from the dataset; these are of the log that it makes without one.
ENTRIES: list[EnvironmentEntry] = [
    AREA.row("mrq/Logged-v0", (1,), one_of(3), 1_000, LoggedKwargs, dataset_role="transitions"),
]
