"""Environments of the operator's own, from a file that MRQ_ENVIRONMENTS_FILE names.

Only whoever runs the service writes that file: what it names is imported and run by the trainer,
and by nothing else. A request only ever names an id. The spaces stand in the file, for the server
must know them and does not load the code; `mrq env check` writes the entry.
"""

import json
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

from store.catalogue.entry import ActionKind, EnvironmentEntry, Kwargs, ObservationKind, Suggestion
from store.errors import SetupError

AREA = "own"
SUGGESTION = Suggestion(total_steps=100_000)

Count = Annotated[int, Field(ge=1, le=1_000_000)]
# With a namespace, so that none can be taken for one of Gymnasium's.
Id = Annotated[
    str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+-v\d+$")
]


def _no_attribute(name: str) -> str:
    if hasattr(Kwargs, name):
        raise ValueError(
            f"{name!r} is an attribute of pydantic's models, and the kwargs become one; allowed: "
            "every other name"
        )
    return name


KwargName = Annotated[
    str,
    StringConstraints(max_length=64, pattern=r"^[a-z][a-z0-9_]*$"),
    AfterValidator(_no_attribute),
]


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Observation(Row):
    kind: ObservationKind
    shape: list[Count] = Field(min_length=1, max_length=3)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        axes = {"vector": 1, "pixels": 3}[self.kind]
        if len(self.shape) != axes:
            raise ValueError(f"shape={self.shape}: {self.kind} have {axes}")
        return self


class Action(Row):
    """`size` of a continuous one, else `components`: how many choices each part of it has."""

    kind: ActionKind
    size: Count | None = None
    components: list[Count] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        continuous = self.kind == "continuous"
        if continuous != (self.size is not None) or continuous == bool(self.components):
            needs = "size" if continuous else "components"
            raise ValueError(f"kind={self.kind!r} needs {needs}, and nothing else")
        if self.kind == "discrete" and len(self.components) != 1:
            raise ValueError(f"components={self.components}: discrete is one choice; allowed: one")
        if self.kind == "multi_binary" and set(self.components) != {2}:
            raise ValueError(
                f"components={self.components}: those of multi_binary are switches; allowed: 2"
            )
        return self


class Kwarg(Row):
    type: Literal["boolean", "integer", "number"]
    default: bool | int | float
    minimum: float | None = None
    maximum: float | None = None

    def field(self) -> tuple[Any, Any]:
        kind = {"boolean": bool, "integer": int, "number": float}[self.type]
        return kind, Field(default=self.default, ge=self.minimum, le=self.maximum)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        bounded = self.minimum is not None and self.maximum is not None
        if bounded != (self.type != "boolean"):
            raise ValueError(f"type={self.type!r}: only numbers have minimum and maximum, and both")
        create_model("Kwarg", __base__=Kwargs, value=self.field()).model_validate(
            {"value": self.default}
        )
        return self


class OwnEnvironment(Row):
    entry: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    observation: Observation
    action: Action
    masked: bool = False
    max_episode_steps: Count
    limit_terminates: bool = False
    kwargs: dict[KwargName, Kwarg] = Field(default_factory=dict, max_length=32)
    licence: str = Field(default="not stated", max_length=128)


_FILE = TypeAdapter(dict[Id, OwnEnvironment])


def read_own(file: Path) -> list[EnvironmentEntry]:
    """SetupError that names the file, the field and what is allowed."""
    try:
        return read_text(file.read_text(), is_toml=file.suffix == ".toml")
    except (OSError, ValueError) as error:
        raise SetupError(f"environments_file {file}: {error}") from None


def read_text(text: str, *, is_toml: bool) -> list[EnvironmentEntry]:
    """ValueError that names the field and what is allowed."""
    raw = tomllib.loads(text) if is_toml else json.loads(text)
    try:
        return [_entry(id, row) for id, row in _FILE.validate_python(raw).items()]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from None


def _entry(id: str, row: OwnEnvironment) -> EnvironmentEntry:
    fields: dict[str, Any] = {name: kwarg.field() for name, kwarg in row.kwargs.items()}
    return EnvironmentEntry(
        id=id,
        area=AREA,
        observation_kind=row.observation.kind,
        frame_shape=tuple(row.observation.shape),
        action_kind=row.action.kind,
        action_dim=row.action.size or sum(row.action.components),
        action_components=tuple(row.action.components),
        masked=row.masked,
        max_episode_steps=row.max_episode_steps,
        limit_terminates=row.limit_terminates,
        kwargs=create_model("OwnKwargs", __base__=Kwargs, **fields),
        entry_point=row.entry,
        extra=None,
        licence=row.licence,
        suggestion=SUGGESTION,
    )


def register_own(entry: EnvironmentEntry) -> None:
    """With Gymnasium, which imports the module when the environment is made."""
    import gymnasium  # the trainer's alone

    gymnasium.register(
        id=entry.id, entry_point=entry.entry_point, max_episode_steps=entry.max_episode_steps
    )


def missing_module(entry: EnvironmentEntry) -> str | None:
    """Of an own environment: the package that cannot be found here."""
    package = entry.entry_point.partition(":")[0].partition(".")[0]
    return package if find_spec(package) is None else None
