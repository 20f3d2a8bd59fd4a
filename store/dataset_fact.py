"""The part of a job's spec that says on which data it trains."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mrq_core.logged import log
from mrq_core.logged.columns import action_roles
from mrq_core.logged.reading import MOST_CHOICES
from mrq_core.markets.split import SplitRefused, split
from mrq_core.observations import ObservationForm
from store.catalogue.entry import EnvironmentEntry, one_of, reals

Role = Literal["timeseries", "transitions"]
# A client may send the fact along: no number of it may cost anything.
MOST_ROWS = 10**9
# The history of an environment that walks through a series.
ROWS_SEEN = 8
# The kwargs that divide a series.
_DIVIDE = ("validation_fraction", "test_fraction", "embargo")


class DatasetFact(BaseModel):
    """What of a dataset a job's course follows from. `roles`: which column is what; `features`: the
    further ones. `rows`: without the header. Of transitions: how many `episodes` there are, and
    `choices` of action, 0 where those are real numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    role: Role = "timeseries"
    sha256: str
    rows: int = Field(ge=0, le=MOST_ROWS)
    roles: dict[str, str]
    features: list[str]
    episodes: int = Field(default=0, ge=0, le=MOST_ROWS)
    choices: int = Field(default=0, ge=0, le=MOST_CHOICES)

    def form(self, history: int | None) -> ObservationForm:
        if self.role == "transitions":
            return ObservationForm("vector", (len(self.features),), history or 1)
        # A row of the series but for its time, and the position.
        width = len(self.roles) - 1 + len(self.features) + 1
        return ObservationForm("vector", (width,), history or ROWS_SEEN)

    def fitted(self, entry: EnvironmentEntry) -> EnvironmentEntry:
        """The environment that it makes of the catalogue's."""
        frame = self.form(1).frame_shape
        if self.role == "timeseries":
            return replace(entry, frame_shape=frame)
        numbers = reals(len(action_roles(self.roles)))
        action = one_of(self.choices) if self.choices else {**numbers, "action_components": ()}
        return replace(entry, frame_shape=frame, **action)


def what_is_wrong(
    environment_id: str,
    role: str,
    dataset_id: str | None,
    fact: DatasetFact | None,
    kwargs: Mapping[str, Any],
) -> tuple[str, str] | None:
    """The field to change, and why. `role`: of the dataset that the environment needs."""
    if role and dataset_id is None:
        what = "timeseries" if role == "timeseries" else f"dataset of {role}"
        return "dataset_id", f"dataset_id=null: {environment_id} needs a {what} of POST /datasets"
    if dataset_id is not None and not role:
        return "dataset_id", f"dataset_id={dataset_id[:80]!r}: {environment_id} takes none"
    if fact is None:
        return None
    if dataset_id is None or fact.role != role:
        return "dataset", "dataset: it follows from dataset_id; leave it out"
    try:
        if fact.role == "transitions":
            log.judged_episodes(fact.episodes, kwargs["validation_fraction"])
        else:
            split(fact.rows, **{name: kwargs[name] for name in _DIVIDE})
    except (SplitRefused, log.SplitRefused) as error:
        return "kwargs", f"kwargs: {error}"
    return None
