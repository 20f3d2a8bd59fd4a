"""How a job learns. The hyperparameters are the algorithm's own dataclass, validated in place."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal

from pydantic import Field, model_validator

from mrq_core.config import PRESETS, Hyperparameters
from store.spec_part import Part, refused, shown


class AlgorithmSpec(Part):
    name: Literal["mrq"] = "mrq"
    preset: Literal["paper", "small"] = "paper"
    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)

    @model_validator(mode="before")
    @classmethod
    def _lay_over_preset(cls, data: Any) -> Any:
        """The request names only what differs from the preset; what is stored names everything."""
        if not isinstance(data, dict):
            return data
        overrides = data.get("hyperparameters", {})
        preset = PRESETS.get(str(data.get("preset", "paper")))
        if preset is None or not isinstance(overrides, dict):
            return data  # the fields' own validation says what is wrong
        _refuse_coercion(overrides)
        return {**data, "hyperparameters": {**asdict(preset), **overrides}}


def _refuse_coercion(overrides: dict[str, Any]) -> None:
    """A dataclass inside a strict model is lax: pydantic would take "512" and true for numbers."""
    kinds = {field.name: str(field.type) for field in fields(Hyperparameters)}
    for name, value in overrides.items():
        kind = kinds.get(name)
        if kind is not None and type(value) not in _ACCEPTED[kind]:
            path = f"hyperparameters.{name}"
            article = {"int": "an integer", "float": "a number", "bool": "true or false"}[kind]
            raise refused(path, f"{path}={shown(value)} must be {article}")


_ACCEPTED: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}
