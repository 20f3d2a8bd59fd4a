"""The dataset that a job's spec names, looked up: what was checked when it came is the truth."""

from sqlalchemy.orm import Session

from store.dataset_fact import DatasetFact
from store.datasets import find_dataset
from store.errors import InvalidInput, NotFound
from store.spec import JobSpec
from store.tables import Dataset


def with_dataset(session: Session, spec: JobSpec) -> JobSpec:
    """The spec with everything filled in that follows from its dataset. `pydantic.ValidationError`
    where the two do not go together, `InvalidInput` where there is no such dataset."""
    environment = spec.environment
    if environment.dataset_id is None:
        return spec
    dataset = _found(session, environment.dataset_id)
    if dataset.role != environment.entry.dataset_role:
        raise InvalidInput(
            f"environment.dataset_id={environment.dataset_id!r} has the role {dataset.role}; "
            f"{environment.id} needs a {environment.entry.dataset_role}.",
            param="environment.dataset_id",
        )
    fact = fact_of(dataset)
    if environment.dataset not in (None, fact):
        raise InvalidInput(
            f"environment.dataset is not what {environment.dataset_id!r} is; leave it out.",
            param="environment.dataset",
        )
    plain = spec.to_json()
    plain["environment"] |= {"dataset_id": dataset.id, "dataset": fact.model_dump(mode="json")}
    return JobSpec.model_validate(plain)


def on_the_data_of(first: JobSpec, spec: JobSpec) -> JobSpec:
    """Of a group, whose jobs differ in seed and name: the same version of the dataset for all."""
    return spec.model_copy(update={"environment": first.environment})


def _found(session: Session, reference: str) -> Dataset:
    try:
        return find_dataset(session, reference)
    except NotFound as error:
        raise InvalidInput(
            f"environment.dataset_id={reference[:80]!r} is no dataset of this service; see "
            "GET /datasets.",
            param="environment.dataset_id",
        ) from error


def fact_of(dataset: Dataset) -> DatasetFact:
    return DatasetFact.model_validate(
        {
            "role": dataset.role,
            "sha256": dataset.sha256,
            "rows": dataset.row_count,
            **dataset.columns,
        }
    )
