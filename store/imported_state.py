"""`state.json` of a stranger's checkpoint: checked before a trainer takes it as it stands."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrq_core.layout import CHECKPOINT_FORMAT_VERSION, STATE
from store.errors import InvalidCheckpoint
from store.strict_json import NotStrict, parse_strictly

# More than any counter of ours, and what a float holds exactly.
MOST = 2**53
# Of the numbers that a PCG64 consists of.
RANDOM_BITS = 2**128

Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(ge=1, le=MOST)]
# One that numpy checks itself, but for its size.
RandomNumber = Annotated[int, Field(ge=0, lt=RANDOM_BITS)]
MetricName = Annotated[str, Field(min_length=1, max_length=128)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class AgentState(_Part):
    training_steps: Count
    reward_scale: float = Field(gt=0)
    target_reward_scale: float = Field(ge=0)


class ReplayState(_Part):
    head: Count
    episode_length: Count
    max_priority: float = Field(ge=0)
    terminations_seen: bool
    segment_slots: int = Field(ge=1, le=MOST)


class _Pcg64(_Part):
    state: RandomNumber
    inc: RandomNumber


class RandomState(_Part):
    bit_generator: Literal["PCG64"]
    state: _Pcg64
    has_uint32: Literal[0, 1]
    uinteger: int = Field(ge=0, lt=2**32)


class ProgressState(_Part):
    # Sums and how many they are of, by which they are divided; JSON has lists for pairs.
    means: dict[MetricName, Annotated[tuple[float, Positive], Field(strict=False)]]
    totals: dict[MetricName, Count]


class EpisodeState(_Part):
    index: Count
    total_reward: float


class ImportedState(_Part):
    """What weights alone need is required, what else a run is resumed from is null without it."""

    format_version: int
    step: Count
    agent: AgentState
    best_return: float | None = None
    device: Literal["cpu", "cuda"] | None = None
    versions: dict[str, str] | None = None
    spec: dict[str, Any] | None = None
    spec_sha256: str | None = None
    replay: ReplayState | None = None
    replay_rng: RandomState | None = None
    warmup_rng: RandomState | None = None
    progress: ProgressState | None = None
    episode: EpisodeState | None = None


# Without these a run cannot be resumed.
TO_RESUME = (
    "device",
    "spec",
    "spec_sha256",
    "replay",
    "replay_rng",
    "warmup_rng",
    "progress",
    "episode",
)


def read_state(path: Path) -> ImportedState:
    try:
        found = parse_strictly(path.read_bytes())
    except NotStrict as error:
        what = error.told("it").rstrip(".")
        raise _refused(STATE, what, "strict JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise _refused(STATE, "it is no object", "a JSON object")
    version = found.get("format_version")
    if version != CHECKPOINT_FORMAT_VERSION or isinstance(version, bool):
        what = f"format_version={json.dumps(version)[:40]} is not read by this release"
        raise _refused("format_version", what, str(CHECKPOINT_FORMAT_VERSION), value=version)
    try:
        return ImportedState.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        shown = repr(first["input"])[:80]
        raise _refused(
            where, f"{where}={shown}: {first['msg']}", "as a trainer writes it"
        ) from None


def require_resumable(state: ImportedState) -> None:
    missing = [name for name in TO_RESUME if getattr(state, name) is None]
    if missing:
        what = f"{', '.join(missing)} missing, without which no run is resumed"
        allowed = (
            f"all of {', '.join(TO_RESUME)}, or the weights alone: {STATE} and the agent's file"
        )
        raise _refused(missing[0], what, allowed)


def _refused(field: str, what: str, allowed: str, *, value: object = None) -> InvalidCheckpoint:
    details = {} if value is None else {"value": str(value)[:80]}
    return InvalidCheckpoint(
        f"{STATE}: {what}; allowed: {allowed}.",
        param=STATE,
        field=field,
        allowed=allowed,
        **details,
    )
