"""What the catalogue says of one environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mrq_core.observations import DEFAULT_HISTORY, ObservationForm
from store.extras import Extra


class Kwargs(BaseModel):
    """No kwargs. Subclasses add those that leave the spaces as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Weight = Annotated[float, Field(ge=-1000.0, le=1000.0)]
Scale = Annotated[float, Field(ge=0.0, le=10.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]

ObservationKind = Literal["vector", "pixels"]
ActionKind = Literal["discrete", "continuous", "multi_discrete", "multi_binary"]
Preset = Literal["paper", "small"]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A job to begin with. Of the benchmarks it is the paper's protocol; of others it is a size
    that a CPU gets through, and promises nothing."""

    total_steps: int
    preset: Preset = "small"
    action_repeat: int = 1
    history: int | None = None  # frames of an observation; None: as many as its kind needs


@dataclass(frozen=True, kw_only=True)
class EnvironmentEntry:
    """`frame_shape` is of one observation as it is stored: (D,) flattened, or (C, H, W) pixels.

    `action_components` are the sizes of the choices that an action is made of, () if continuous.
    `masked`: the environment says which actions are legal. `max_episode_steps` is ours where the
    environment has no limit of its own; it counts the environment's own steps. `limit_terminates`:
    it reports that limit as a termination. `evaluation_epsilon`: the share of random actions in an
    evaluation by the benchmark's protocol. `extra` installs it; `licence` is that of its package.
    """

    id: str
    area: str
    observation_kind: ObservationKind
    frame_shape: tuple[int, ...]
    action_kind: ActionKind
    action_dim: int
    action_components: tuple[int, ...] = ()
    masked: bool = False
    max_episode_steps: int
    limit_terminates: bool = False
    evaluation_epsilon: float = 0.0
    kwargs: type[Kwargs] = Kwargs
    module: str = ""  # whose import registers it, where that is not Gymnasium
    entry_point: str = ""  # of the operator's own
    # A job needs a dataset of this role, and `frame_shape` follows from its columns: what stands
    # here is of a dataset without any but the needed ones.
    dataset_role: Literal["", "timeseries", "transitions"] = ""
    extra: Extra | None  # None: the operator's own
    licence: str
    suggestion: Suggestion

    @property
    def gymnasium_id(self) -> str:
        """With what has to be imported first, as `gymnasium.make` understands it."""
        return f"{self.module}:{self.id}" if self.module else self.id

    def form(self, history: int | None = None) -> ObservationForm:
        """How observations reach the network; None: as many frames as their kind needs."""
        frames = DEFAULT_HISTORY[self.observation_kind] if history is None else history
        return ObservationForm(self.observation_kind, self.frame_shape, frames)


@dataclass(frozen=True, kw_only=True)
class Area:
    """What the environments of an area have in common."""

    name: str
    extra: Extra
    licence: str
    suggestion: Suggestion
    module: str = ""

    def row(
        self,
        id: str,
        frame_shape: tuple[int, ...],
        action: Mapping[str, Any],
        limit: int,
        kwargs: type[Kwargs] = Kwargs,
        **differs: Any,
    ) -> EnvironmentEntry:
        """`differs` are fields of the entry that are not those of the area."""
        common: dict[str, Any] = {
            "extra": self.extra,
            "licence": self.licence,
            "suggestion": self.suggestion,
            "module": self.module,
        }
        return EnvironmentEntry(
            id=id,
            area=self.name,
            observation_kind="pixels" if len(frame_shape) == 3 else "vector",
            frame_shape=frame_shape,
            max_episode_steps=limit,
            kwargs=kwargs,
            **(common | dict(action) | differs),
        )


def one_of(n: int) -> Mapping[str, Any]:
    return {"action_kind": "discrete", "action_dim": n, "action_components": (n,)}


def reals(n: int) -> Mapping[str, Any]:
    return {"action_kind": "continuous", "action_dim": n}
