"""The part of a job's spec that says on which data it trains."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from mrq_core.markets.split import SplitRefused, split
from mrq_core.observations import ObservationForm

# The history of an environment that walks through a series.
ROWS_SEEN = 8
# The kwargs that divide a series.
_DIVIDE = ("validation_fraction", "test_fraction", "embargo")


class DatasetFact(BaseModel):
    """What of a dataset a job's course follows from. `roles`: which column is what; `features`: the
    further ones. `rows`: without the header."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    sha256: str
    rows: int
    roles: dict[str, str]
    features: list[str]

    def form(self, history: int | None) -> ObservationForm:
        """A row of the series but for its time, and the position."""
        width = len(self.roles) - 1 + len(self.features) + 1
        return ObservationForm("vector", (width,), history or ROWS_SEEN)


def what_is_wrong(
    environment_id: str,
    role: str,
    dataset_id: str | None,
    fact: DatasetFact | None,
    kwargs: Mapping[str, Any],
) -> tuple[str, str] | None:
    """The field to change, and why. `role`: of the dataset that the environment needs."""
    if role and dataset_id is None:
        return "dataset_id", f"dataset_id=null: {environment_id} needs a {role} of POST /datasets"
    if dataset_id is not None and not role:
        return "dataset_id", f"dataset_id={dataset_id[:80]!r}: {environment_id} takes none"
    if fact is None:
        return None
    if dataset_id is None:
        return "dataset", "dataset: it follows from dataset_id; leave it out"
    try:
        split(fact.rows, **{name: kwargs[name] for name in _DIVIDE})
    except SplitRefused as error:
        return "kwargs", f"kwargs: {error}"
    return None
