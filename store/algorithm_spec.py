"""How a job learns. The hyperparameters are the algorithm's own dataclass, validated in place."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Literal, Self

from pydantic import (
    Field,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from mrq_core.baselines import settings as baselines
from mrq_core.baselines.settings import DQN, PPO, SAC, TD3, Baseline, QLearning
from mrq_core.config import PRESETS, Hyperparameters
from store.baselines import Algorithm
from store.spec_part import Part, refused, shown

# The paper's: see `mrq_core.objectives.StayClose`.
DEFAULT_ALPHA = 2.5

# What each algorithm is told.
SETTINGS: Mapping[str, type[Hyperparameters | Baseline]] = {
    "mrq": Hyperparameters,
    **baselines.BASELINES,
}


class OfflineSpec(Part):
    """What a job that learns from a log alone is told beside the rest."""

    alpha: float = Field(
        default=DEFAULT_ALPHA,
        ge=0.0,
        le=1_000.0,
        description="Weight of the value against doing what was logged. 0: a copy of that.",
    )


class AlgorithmSpec(Part):
    """`offline` is never null where that is the `mode`, and always where it is not."""

    name: Algorithm = "mrq"
    mode: Literal["online", "offline"] = Field(
        default="online", description="offline: nobody acts, a dataset of transitions is learnt."
    )
    preset: Literal["paper", "small"] = "paper"
    hyperparameters: Hyperparameters | DQN | TD3 | SAC | PPO | QLearning = Field(
        default_factory=Hyperparameters, description="Those of the algorithm that `name` names."
    )
    offline: OfflineSpec | None = None

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        if self.mode == "online" and self.offline is not None:
            raise refused("offline", "offline: it is for mode='offline'; leave it out")
        if self.mode == "offline" and self.name != "mrq":
            text = f"name={self.name!r} learns by acting; allowed in mode='offline': 'mrq'"
            raise refused("name", text)
        if self.mode == "offline" and self.offline is None:
            object.__setattr__(self, "offline", OfflineSpec())  # frozen for everyone else
        return self

    @model_validator(mode="before")
    @classmethod
    def _lay_over_preset(cls, data: Any) -> Any:
        """The request names only what differs from the preset; what is stored names everything."""
        if not isinstance(data, dict):
            return data
        overrides = data.get("hyperparameters", {})
        name, preset = str(data.get("name", "mrq")), str(data.get("preset", "paper"))
        if name not in SETTINGS or preset not in PRESETS or not isinstance(overrides, dict):
            return data  # the fields' own validation says what is wrong
        _refuse_coercion(SETTINGS[name], overrides)
        laid = PRESETS[preset] if name == "mrq" else baselines.PRESETS[preset][name]
        return {**data, "hyperparameters": {**asdict(laid), **overrides}}

    @field_validator("hyperparameters", mode="wrap")
    @classmethod
    def _of_its_algorithm(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        """Not a union's many errors, but those of the one class that is meant."""
        kind = SETTINGS.get(info.data.get("name", ""))
        return handler(value) if kind is None else _READERS[kind].validate_python(value)

    @property
    def mrq(self) -> Hyperparameters:
        assert isinstance(self.hyperparameters, Hyperparameters), f"it is {self.name}"
        return self.hyperparameters

    @property
    def baseline(self) -> Baseline | None:
        """None: MR.Q learns."""
        given = self.hyperparameters
        return None if isinstance(given, Hyperparameters) else given


_READERS: Mapping[type[Hyperparameters | Baseline], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in SETTINGS.values()
}


def _refuse_coercion(settings: type[Hyperparameters | Baseline], overrides: dict[str, Any]) -> None:
    """A dataclass inside a strict model is lax: pydantic would take "512" and true for numbers."""
    kinds = {field.name: str(field.type) for field in fields(settings)}
    for name, value in overrides.items():
        kind = kinds.get(name)
        if kind is not None and type(value) not in _ACCEPTED[kind]:
            path = f"hyperparameters.{name}"
            article = {"int": "an integer", "float": "a number", "bool": "true or false"}[kind]
            raise refused(path, f"{path}={shown(value)} must be {article}")


_ACCEPTED: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}
