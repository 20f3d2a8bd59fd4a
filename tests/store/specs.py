"""Specs for tests: made of few words, and refused with their path."""

from typing import Any

import pytest
from pydantic import ValidationError

from store.catalogue import CATALOGUE
from store.spec import JobSpec

BODY: dict[str, Any] = {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 1000}}


def made(**changes: Any) -> JobSpec:
    return JobSpec.model_validate(BODY | changes)


def refusal(changes: dict[str, Any]) -> tuple[str, str]:
    """Path of the first error as `app.errors` builds it, and its text."""
    with pytest.raises(ValidationError) as caught:
        made(**changes)
    first = caught.value.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "refused":
        path += first["ctx"]["path"].split(".")
    return ".".join(path), first["msg"]


def hyperparameters(**values: Any) -> dict[str, Any]:
    return {"algorithm": {"hyperparameters": values}}


def environment(id: str = "Pendulum-v1", **kwargs: Any) -> dict[str, Any]:
    return {"environment": {"id": id, "kwargs": kwargs}}


def whole(id: str) -> dict[str, Any]:
    """With a dataset, as it is looked up for an environment that needs one."""
    roles = {role: role for role in ("timestamp", "open", "high", "low", "close", "volume")}
    fact: dict[str, Any] = {"sha256": "0" * 64, "rows": 1_000, "roles": roles, "features": ["mood"]}
    needs = CATALOGUE[id].dataset_role
    if needs == "transitions":
        roles = {role: role for role in ("episode", "action", "reward", "terminated")}
        fact |= {"role": needs, "roles": roles, "episodes": 50, "choices": 3}
    return {"id": id, **({"dataset_id": "ds_00", "dataset": fact} if needs else {})}


def around(**values: Any) -> dict[str, Any]:
    return {"environment": {"id": "Pendulum-v1"} | values}


def mode_of(id: str) -> str:
    """The only `algorithm.mode` that a job there may have."""
    return "offline" if CATALOGUE[id].dataset_role == "transitions" else "online"
