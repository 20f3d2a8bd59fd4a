"""`policy.json` of a stranger's policy: what of it can be seen without running its graph.

Fields that this release does not know are kept and never read: the format's version says whether a
reader may do that.
"""

import math
from itertools import chain
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrq_core.actions import action_codec
from mrq_core.bundle import BUNDLE_FORMAT_VERSION
from mrq_core.spaces import Space, SpaceError, Tuple, space_from_json
from store.baselines import Algorithm
from store.errors import InvalidPolicy
from store.servable import MANIFEST
from store.space_size import Misfit, require_small
from store.spec_part import shown
from store.strict_json import NotStrict, parse_strictly

MOST_STEPS = 2**53
MOST_GOLDEN = 1_024
Golds = Annotated[list[Any], Field(max_length=MOST_GOLDEN)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# As of a job's, but for ids that begin with a module.
EnvironmentId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.:/-]{0,127}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class Golden(_Part):
    observations: Annotated[Golds, Field(min_length=1)]
    outputs: Golds
    actions: Golds


class GoldenModel(_Part):
    actions: Golds
    q: Golds
    reward: Golds
    termination: Golds
    next_q: Golds


class Seen(_Part):
    low: list[Any]
    high: list[Any]


class ModelFacts(_Part):
    sha256: Sha256
    trained_horizon: int = Field(ge=1, le=1_000)
    discount: float = Field(ge=0, le=1)
    golden: GoldenModel


class Manifest(_Part):
    """What is null may be missing, as it is in what earlier releases exported."""

    format_version: Literal[1]
    environment_id: EnvironmentId
    environment_kwargs: dict[str, Any] = Field(max_length=32)
    observation_space: dict[str, Any]
    observation_dim: int = Field(ge=1)
    observation_kind: Literal["vector", "pixels"] = "vector"
    input_shape: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, max_length=3)
    history: int = Field(default=1, ge=1, le=16)
    action_space: dict[str, Any]
    action_dim: int = Field(ge=1)
    masked: bool = False
    exploration_noise: float = Field(ge=0, le=10)
    algorithm: Algorithm = "mrq"
    hyperparameters: dict[str, bool | int | float] = Field(default_factory=dict, max_length=128)
    step: int = Field(default=0, ge=0, le=MOST_STEPS)
    weights_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    golden: Golden
    seen: Seen | None = None
    model: ModelFacts | None = None


assert BUNDLE_FORMAT_VERSION == 1, "the one that `Manifest` reads"


def read_manifest(content: bytes) -> tuple[dict[str, Any], Manifest]:
    """As it came, and what of it is read. Raises `InvalidPolicy`."""
    try:
        found = parse_strictly(content)
    except NotStrict as error:
        raise refused(None, error.told("it").rstrip("."), "strict JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise refused(None, "it is no object", "a JSON object")
    _require_storable(found)
    version = found.get("format_version")
    if type(version) is not int or version != BUNDLE_FORMAT_VERSION:
        what = f"format_version={version!s:.40} is not read by this release"
        raise refused("format_version", what, str(BUNDLE_FORMAT_VERSION), version)
    try:
        manifest = Manifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}={shown(first['input'])}: {first['msg']}"
        raise refused(where, what, "as an export writes it", first["input"]) from None
    _require_spaces(manifest)
    _require_numbers(manifest)
    return found, manifest


def _require_storable(found: dict[str, Any]) -> None:
    """A half of a pair of surrogates, or an integer of more than 64 bits, was JSON so far."""
    try:
        written = orjson.dumps(found)
    except TypeError as error:
        raise refused(None, f"it cannot be stored: {error}", "texts of Unicode, 64 bits") from None
    if rb"\u0000" in written:
        raise refused(None, "it has a NUL character", "texts without")


def _require_spaces(manifest: Manifest) -> None:
    # Neither has more than what is there to be seen of it.
    most = _width(manifest.golden.observations)
    space = _space("observation_space", manifest.observation_space, most)
    _require_same("observation_dim", manifest.observation_dim, "observation_space", space.flat_size)
    _require_history(manifest, space)
    most = _width(manifest.golden.outputs)
    _require_same("action_dim", manifest.action_dim, "golden.outputs", most)
    actions = _space("action_space", manifest.action_space, most)
    try:
        dim = action_codec(actions).action_dim
    except SpaceError as error:
        raise refused(
            "action_space", f"action_space: {error}", "spaces that are acted in"
        ) from None
    _require_same("action_dim", manifest.action_dim, "action_space", dim)


def _width(rows: list[Any]) -> int:
    return len(rows[0]) if rows and isinstance(rows[0], list) else 0


def _space(field: str, told: dict[str, Any], most: int) -> Space:
    try:
        require_small(told, most)
        return space_from_json(told)
    except Misfit as misfit:
        raise refused(field, f"{field}: {misfit.what}", misfit.allowed) from None
    except SpaceError as error:
        raise refused(field, f"{field}: {error}", "a space as an export writes it") from None


def _require_same(field: str, value: int, source: str, needed: int) -> None:
    if value != needed:
        raise refused(field, f"{field}={value} is not that of {source}", str(needed), value)


def _require_history(manifest: Manifest, space: Space) -> None:
    """Of several frames, an observation is a list of so many of one kind."""
    history = manifest.history
    if history == 1:
        return
    frames = space.spaces if isinstance(space, Tuple) else ()
    if len(frames) != history or len(set(frames)) != 1:
        what = f"history={history} frames are not what observation_space has"
        raise refused("history", what, "as many of one kind, in a tuple", history)


def _require_numbers(manifest: Manifest) -> None:
    """That each list is an array of finite numbers, and of which shape. What the actions are of,
    and the model's numbers, is compared when they run."""
    golden, size = manifest.golden, len(manifest.golden.observations)
    dim, action_dim = manifest.observation_dim, manifest.action_dim
    _numbers("golden.observations", golden.observations, (size, dim))
    _numbers("golden.outputs", golden.outputs, (size, action_dim))
    # An action has no more numbers than the outputs that it is made of.
    _numbers("golden.actions", golden.actions, (size,), size * action_dim, kinds="iufb")
    if manifest.seen is not None:
        for end in ("low", "high"):
            _numbers(f"seen.{end}", getattr(manifest.seen, end), (dim,))
    if manifest.model is not None:
        _require_numbers_of_model(manifest.model.golden, size, action_dim)


def _require_numbers_of_model(golden: GoldenModel, size: int, action_dim: int) -> None:
    widths = {"actions": action_dim, "q": 2, "reward": 1, "termination": 1, "next_q": 2}
    for name, width in widths.items():
        _numbers(f"model.golden.{name}", getattr(golden, name), (size, width))


def _numbers(
    field: str,
    told: list[Any],
    shape: tuple[int, ...],
    most: int | None = None,
    kinds: str = "iuf",
) -> None:
    """`shape`: of the first axes; the others may be any. `most`: numbers in all, else those of
    `shape`."""
    allowed = f"finite numbers of shape {list(shape)}"
    _require_numbers_alone(field, told, math.prod(shape) if most is None else most, allowed)
    try:
        array: NDArray[Any] = np.array(told)
    except ValueError:
        raise refused(field, f"{field} has lists of several lengths", allowed) from None
    if array.dtype.kind not in kinds or not np.isfinite(array).all():
        raise refused(field, f"{field} are not finite numbers alone", allowed)
    if array.shape[: len(shape)] != shape:
        raise refused(field, f"{field} has shape {list(array.shape)}", allowed)


def _require_numbers_alone(field: str, told: list[Any], most: int, allowed: str) -> None:
    """Before numpy sees them: of texts, it makes each as wide as the longest one."""
    level = told
    while len(level) <= most and (kinds := set(map(type, level))) == {list}:
        level = list(chain.from_iterable(level))
    if len(level) > most:
        raise refused(field, f"{field} has more than {most} parts", allowed)
    if not kinds <= {int, float, bool}:
        raise refused(field, f"{field} are not finite numbers alone", allowed)


def refused(field: str | None, what: str, allowed: str, value: object = None) -> InvalidPolicy:
    details: dict[str, Any] = {} if field is None else {"field": field}
    if value is not None:
        details["value"] = shown(value)
    return InvalidPolicy(
        f"{MANIFEST}: {what}; allowed: {allowed}.", param=MANIFEST, allowed=allowed, **details
    )
