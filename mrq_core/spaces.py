"""Observation and action spaces: described in JSON, and mapped to the network's vectors and back.

Used by training and, without torch, by the server. B is the batch, D `flat_size` of the observation
space, A `action_dim` of the action space: its dimensions, or the number of discrete actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

JSON: TypeAlias = Any
Floats: TypeAlias = NDArray[np.float32]


class SpaceError(ValueError):
    """A space that cannot be used, or a value that is not in its space."""

    def __init__(self, *, expected: str, got: str, path: str = "") -> None:
        super().__init__(f"{path + ': ' if path else ''}expected {expected}, got {got}")
        self.expected = expected
        self.got = got
        self.path = path


@dataclass(frozen=True)
class Box:
    """`low` and `high` hold one number per element, in C order; infinities are allowed."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        size = math.prod(self.shape)
        if not len(self.low) == len(self.high) == size:
            got = f"{len(self.low)} lower and {len(self.high)} upper ones"
            raise SpaceError(expected=f"{size} bounds for shape {self.shape}", got=got)
        for index, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not low <= high:
                expected = f"low <= high in dimension {index}"
                raise SpaceError(expected=expected, got=f"[{low}, {high}]")

    @cached_property
    def flat_size(self) -> int:
        return len(self.low)

    def write(self, value: object, out: Floats, path: str) -> None:
        """Values outside the bounds pass: environments give them, and the network takes them."""
        array = typed_array(value, self.shape, path, "number")
        with np.errstate(over="ignore"):
            out[:] = array.reshape(-1)
        if not np.isfinite(out).all():
            raise SpaceError(expected="finite float32 numbers", got=_non_finite(array), path=path)

    def to_json(self) -> JSON:
        low, high = map(_bound_to_json, self.low), map(_bound_to_json, self.high)
        bounds = {"low": list(low), "high": list(high)}
        return {"type": "box", "shape": list(self.shape), "dtype": self.dtype, **bounds}


@dataclass(frozen=True)
class Discrete:
    n: int
    start: int = 0

    def __post_init__(self) -> None:
        _require_count(self.n)

    @property
    def flat_size(self) -> int:
        return self.n

    def write(self, value: object, out: Floats, path: str) -> None:
        index = int(typed_array(value, (), path, "integer")) - self.start
        if not 0 <= index < self.n:
            expected = f"an integer from {self.start} to {self.start + self.n - 1}"
            raise SpaceError(expected=expected, got=describe(value), path=path)
        out[:] = 0.0
        out[index] = 1.0

    def to_json(self) -> JSON:
        return {"type": "discrete", "n": self.n, "start": self.start}


@dataclass(frozen=True)
class MultiBinary:
    shape: tuple[int, ...]

    @cached_property
    def flat_size(self) -> int:
        return math.prod(self.shape)

    def write(self, value: object, out: Floats, path: str) -> None:
        array = typed_array(value, self.shape, path, "integer", flags=True).reshape(-1)
        if not np.isin(array, (0, 1)).all():
            raise SpaceError(expected="zeros and ones", got=describe(value), path=path)
        out[:] = array

    def to_json(self) -> JSON:
        return {"type": "multi_binary", "shape": list(self.shape)}


@dataclass(frozen=True)
class MultiDiscrete:
    """One `Discrete` per element of `shape`, in C order."""

    nvec: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.nvec) == len(self.start) == math.prod(self.shape):
            expected = f"{math.prod(self.shape)} counts and starts for shape {self.shape}"
            raise SpaceError(expected=expected, got=f"{len(self.nvec)} and {len(self.start)}")
        for n in self.nvec:
            _require_count(n)

    @cached_property
    def flat_size(self) -> int:
        return sum(self.nvec)

    def write(self, value: object, out: Floats, path: str) -> None:
        indices = typed_array(value, self.shape, path, "integer").reshape(-1) - np.array(self.start)
        if ((indices < 0) | (indices >= np.array(self.nvec))).any():
            expected = f"integers from {self.start} and below that plus {self.nvec}"
            raise SpaceError(expected=expected, got=describe(value), path=path)
        out[:] = 0.0
        first = np.concatenate(([0], np.cumsum(self.nvec)[:-1]))
        out[first + indices] = 1.0

    def to_json(self) -> JSON:
        lists = {"nvec": self.nvec, "start": self.start, "shape": self.shape}
        return {"type": "multi_discrete"} | {key: list(value) for key, value in lists.items()}


@dataclass(frozen=True)
class Tuple:
    spaces: tuple[Space, ...]

    @cached_property
    def flat_size(self) -> int:
        return sum(space.flat_size for space in self.spaces)

    def write(self, value: object, out: Floats, path: str) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != len(self.spaces):
            expected = f"a list of {len(self.spaces)}"
            raise SpaceError(expected=expected, got=describe(value), path=path)
        parts = [(f"{path}[{i}]", space) for i, space in enumerate(self.spaces)]
        _write_parts(parts, value, out)

    def to_json(self) -> JSON:
        return {"type": "tuple", "spaces": [space.to_json() for space in self.spaces]}


@dataclass(frozen=True)
class Dict:
    """Flattened in the order given here, whatever the order of the keys in a value."""

    spaces: tuple[tuple[str, Space], ...]

    @cached_property
    def flat_size(self) -> int:
        return sum(space.flat_size for _, space in self.spaces)

    def write(self, value: object, out: Floats, path: str) -> None:
        keys = [key for key, _ in self.spaces]
        if not isinstance(value, Mapping) or value.keys() != set(keys):
            raise SpaceError(expected=f"an object with {keys}", got=describe(value), path=path)
        parts = [(f"{path}.{key}", space) for key, space in self.spaces]
        _write_parts(parts, [value[key] for key in keys], out)

    def to_json(self) -> JSON:
        # Pairs, for some databases reorder the keys of an object.
        return {"type": "dict", "spaces": [[key, space.to_json()] for key, space in self.spaces]}


Space: TypeAlias = Box | Discrete | MultiBinary | MultiDiscrete | Tuple | Dict


def flat_size(space: Space) -> int:
    return space.flat_size


def flatten(space: Space, observation: object) -> Floats:
    """An observation, as plain JSON values or numpy ones, as the network's (D,) input."""
    out = np.empty(space.flat_size, np.float32)
    space.write(observation, out, "observation")
    return out


def flatten_batch(space: Space, observations: Sequence[object] | NDArray[Any]) -> Floats:
    """(B, D). An error names the observation it is about."""
    if not isinstance(observations, (list, tuple, np.ndarray)):
        raise SpaceError(expected="a list of observations", got=describe(observations))
    out = np.empty((len(observations), space.flat_size), np.float32)
    for index, observation in enumerate(observations):
        space.write(observation, out[index], f"observations[{index}]")
    return out


def space_from_json(obj: JSON) -> Space:
    """What `to_json` gave. Anything else is a SpaceError."""
    kind = obj.get("type") if isinstance(obj, dict) else None
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise SpaceError(expected=f"a space of type {sorted(_READERS)}", got=describe(obj))
    try:
        return read(obj)
    except SpaceError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        got = f"{type(error).__name__}: {error}"
        raise SpaceError(expected=f"a complete {kind} space", got=got) from error


def space_from_gymnasium(space: object) -> Space:
    """Gymnasium's own order of the keys of a Dict is kept."""
    from gymnasium import spaces as gym

    match space:
        case gym.Box():
            low, high = space.low.ravel().tolist(), space.high.ravel().tolist()
            return Box(tuple(low), tuple(high), space.shape, str(space.dtype))
        case gym.Discrete():
            return Discrete(int(space.n), int(space.start))
        case gym.MultiBinary():
            return MultiBinary(tuple(map(int, space.shape)))
        case gym.MultiDiscrete():
            nvec, start = space.nvec.ravel().tolist(), space.start.ravel().tolist()
            return MultiDiscrete(tuple(nvec), tuple(start), tuple(space.nvec.shape))
        case gym.Tuple():
            return Tuple(tuple(space_from_gymnasium(part) for part in space.spaces))
        case gym.Dict():
            parts = space.spaces.items()
            return Dict(tuple((str(key), space_from_gymnasium(part)) for key, part in parts))
    expected = "a Box, Discrete, MultiBinary, MultiDiscrete, Tuple or Dict space"
    raise SpaceError(expected=expected, got=repr(space)[:200])


def _write_parts(parts: Iterable[tuple[str, Space]], values: Sequence[object], out: Floats) -> None:
    first = 0
    for (path, space), value in zip(parts, values, strict=True):
        space.write(value, out[first : first + space.flat_size], path)
        first += space.flat_size


# What type() a leaf of plain data may have; bool is a type of its own here.
_PLAIN = {"number": frozenset({float, int}), "integer": frozenset({int})}
_KINDS = {"number": "iuf", "integer": "iu"}
_SCALARS: dict[str, tuple[type, ...]] = {
    "number": (np.floating, np.integer),
    "integer": (np.integer,),
}
_DTYPES = {"number": np.float64, "integer": np.int64}


def typed_array(
    value: object, shape: tuple[int, ...], path: str, kind: str, *, flags: bool = False
) -> NDArray[Any]:
    """Numbers or integers of exactly this shape; true and false only where `flags` says so."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.shape != shape or array.dtype.kind not in _KINDS[kind] + "b" * flags:
            raise SpaceError(expected=_a(kind, shape), got=describe(value), path=path)
        return array
    leaves = _leaves(value, shape, path, kind)
    for leaf_type in set(map(type, leaves)) - _PLAIN[kind] - ({bool} if flags else set()):
        if not issubclass(leaf_type, _SCALARS[kind]):
            wrong = next(leaf for leaf in leaves if type(leaf) is leaf_type)
            got = describe(wrong) + (" in it" if shape else "")
            raise SpaceError(expected=_a(kind, shape), got=got, path=path)
    try:
        return np.array(leaves, _DTYPES[kind]).reshape(shape)
    except OverflowError as error:
        raise SpaceError(expected=_a(kind, shape), got="too large a one", path=path) from error


def _leaves(value: object, shape: tuple[int, ...], path: str, kind: str) -> list[Any]:
    rows: list[Any] = [value]
    for length in shape:
        for row in rows:
            if not isinstance(row, (list, tuple)) or len(row) != length:
                got = describe(value) if row is value else f"{describe(row)} in it"
                raise SpaceError(expected=_a(kind, shape), got=got, path=path)
        rows = list(chain.from_iterable(rows))
    return rows


def _a(kind: str, shape: tuple[int, ...]) -> str:
    article = "an integer" if kind == "integer" else "a number"
    lists = f"a list of {shape[0]} {kind}s" if len(shape) == 1 else f"{kind}s of shape {shape}"
    return lists if shape else article


def describe(value: object) -> str:
    if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value):
        return f"an array of shape {np.shape(value)} and type {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return f"an object with {[str(key)[:40] for key in list(value)[:20]]}"
    return f"{repr(value)[:80]} ({type(value).__name__})"


def _non_finite(array: NDArray[Any]) -> str:
    with np.errstate(over="ignore"):
        bad = array[~np.isfinite(array.astype(np.float32))]
    return str(bad.reshape(-1)[0])


def _require_count(n: int) -> None:
    if n < 1:
        raise SpaceError(expected="at least one value", got=str(n))


def _bound_to_json(bound: float) -> float | str:
    return bound if math.isfinite(bound) else ("inf" if bound > 0 else "-inf")


def _bound_from_json(bound: object) -> float:
    if isinstance(bound, str) and bound in ("inf", "-inf"):
        return float(bound)
    if isinstance(bound, (int, float)) and not isinstance(bound, bool) and math.isfinite(bound):
        return float(bound)
    raise SpaceError(expected='a number, "inf" or "-inf"', got=describe(bound))


def _integer(value: object) -> int:
    if type(value) is not int:
        raise SpaceError(expected="an integer", got=describe(value))
    return value


def _integers(values: object) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise SpaceError(expected="a list of integers", got=describe(values))
    return tuple(map(_integer, values))


def _shape(values: object) -> tuple[int, ...]:
    shape = _integers(values)
    if min(shape, default=1) < 1:
        raise SpaceError(expected="a shape without zeros", got=str(shape))
    return shape


def _dtype(name: object) -> str:
    if not isinstance(name, str) or np.dtype(name).kind not in "iufb":
        raise SpaceError(expected="a number type", got=describe(name))
    return name


def _box(obj: JSON) -> Box:
    low, high = (tuple(map(_bound_from_json, obj[key])) for key in ("low", "high"))
    return Box(low, high, _shape(obj["shape"]), _dtype(obj["dtype"]))


def _multi_discrete(obj: JSON) -> MultiDiscrete:
    return MultiDiscrete(_integers(obj["nvec"]), _integers(obj["start"]), _shape(obj["shape"]))


def _dict(obj: JSON) -> Dict:
    return Dict(tuple((str(key), space_from_json(part)) for key, part in obj["spaces"]))


_READERS: Mapping[str, Callable[[JSON], Space]] = {
    "box": _box,
    "discrete": lambda obj: Discrete(_integer(obj["n"]), _integer(obj["start"])),
    "multi_binary": lambda obj: MultiBinary(_shape(obj["shape"])),
    "multi_discrete": _multi_discrete,
    "tuple": lambda obj: Tuple(tuple(map(space_from_json, obj["spaces"]))),
    "dict": _dict,
}
