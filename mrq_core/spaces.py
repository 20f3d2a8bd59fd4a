"""Observation and action spaces: described in JSON, and mapped to the network's vectors.

Used by training and, without torch, by the server. B is the batch, D `flat_size` of the space.

A Box is its numbers in C order; a Discrete, and each element of a MultiDiscrete, is one-hot; a
MultiBinary is its zeros and ones; a Tuple is its parts one after the other, a Dict in the order
in which it states its keys (Gymnasium sorts them, where it was given no order).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mrq_core.space_json import (
    JSON,
    bounds_from_json,
    bounds_to_json,
    integer,
    integers,
    read_dtype,
)
from mrq_core.typed_values import Mistake as Mistake
from mrq_core.typed_values import SpaceError as SpaceError
from mrq_core.typed_values import describe as describe
from mrq_core.typed_values import require_finite, shape_or_dtype
from mrq_core.typed_values import typed_array as typed_array

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """`low` and `high` hold one number per element, in C order; infinities are allowed."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        size = _size(self.shape)
        if not len(self.low) == len(self.high) == size:
            got = f"{len(self.low)} lower and {len(self.high)} upper ones"
            raise _unusable(f"{size} bounds for shape {self.shape}", got, "shape")
        for index, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not low <= high:
                raise _unusable(f"low <= high in dimension {index}", f"[{low}, {high}]")

    @cached_property
    def flat_size(self) -> int:
        return len(self.low)

    @cached_property
    def number_type(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def read(self, value: object, path: str) -> NDArray[Any]:
        """In the space's shape, of any number type, and maybe the very array that was given.

        Values outside the bounds pass: environments give them, and the network takes them. What
        the space's own number type cannot hold does not: half a byte, or more than 255 of it.
        """
        array = typed_array(value, self.shape, path, "number", flags=self.number_type.kind == "b")
        if self.number_type.kind != "f" and array.dtype != self.number_type:
            self._require_representable(array, path)
        return array

    def write(self, value: object, out: Floats, path: str) -> None:
        array = self.read(value, path)
        with np.errstate(over="ignore"):
            out[:] = array.reshape(-1)
        require_finite(out, array, path)

    def _require_representable(self, array: NDArray[Any], path: str) -> None:
        require_finite(array.reshape(-1), array, path)
        least, most = _limits(self.number_type)
        broken = array != np.rint(array)
        wrong = broken | (array < least) | (array > most)
        if wrong.any():
            mistake: Mistake = "dtype" if broken.any() else "range"
            expected, got = f"whole numbers from {least} to {most}", str(array[wrong].flat[0])
            raise SpaceError(kind=mistake, expected=expected, got=got, path=path)

    def to_json(self) -> JSON:
        bounds = {"low": bounds_to_json(self.low), "high": bounds_to_json(self.high)}
        return {"type": "box", "shape": list(self.shape), "dtype": self.dtype, **bounds}

    @classmethod
    def from_json(cls, obj: JSON) -> Box:
        shape = integers(obj["shape"])
        low, high = (bounds_from_json(obj[key], _size(shape)) for key in ("low", "high"))
        return cls(low, high, shape, read_dtype(obj["dtype"]))


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
            raise SpaceError(kind="range", expected=expected, got=describe(value), path=path)
        out[:] = 0.0
        out[index] = 1.0

    def to_json(self) -> JSON:
        return {"type": "discrete", "n": self.n, "start": self.start}

    @classmethod
    def from_json(cls, obj: JSON) -> Discrete:
        return cls(integer(obj["n"]), integer(obj["start"]))


@dataclass(frozen=True)
class MultiBinary:
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _size(self.shape)

    @cached_property
    def flat_size(self) -> int:
        return math.prod(self.shape)

    def write(self, value: object, out: Floats, path: str) -> None:
        array = typed_array(value, self.shape, path, "integer", flags=True).reshape(-1)
        if ((array != 0) & (array != 1)).any():
            expected = "zeros and ones"
            raise SpaceError(kind="range", expected=expected, got=describe(value), path=path)
        out[:] = array

    def to_json(self) -> JSON:
        return {"type": "multi_binary", "shape": list(self.shape)}

    @classmethod
    def from_json(cls, obj: JSON) -> MultiBinary:
        return cls(integers(obj["shape"]))


@dataclass(frozen=True)
class MultiDiscrete:
    """One `Discrete` per element of `shape`, in C order."""

    nvec: tuple[int, ...]
    start: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str = "int64"

    def __post_init__(self) -> None:
        size = _size(self.shape)
        if not len(self.nvec) == len(self.start) == size:
            expected = f"{size} counts and starts for shape {self.shape}"
            raise _unusable(expected, f"{len(self.nvec)} and {len(self.start)}", "shape")
        for n in self.nvec:
            _require_count(n)

    @cached_property
    def flat_size(self) -> int:
        return sum(self.nvec)

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """Where each element's one-hot begins."""
        return np.concatenate(([0], np.cumsum(self.nvec)[:-1]))

    def write(self, value: object, out: Floats, path: str) -> None:
        # As int64, for a small or unsigned type wraps around at the subtraction.
        array = typed_array(value, self.shape, path, "integer").reshape(-1).astype(np.int64)
        indices = array - np.array(self.start)
        if ((indices < 0) | (indices >= np.array(self.nvec))).any():
            expected = f"integers from {self.start} and below that plus {self.nvec}"
            raise SpaceError(kind="range", expected=expected, got=describe(value), path=path)
        out[:] = 0.0
        out[self._first + indices] = 1.0

    def to_json(self) -> JSON:
        lists = {"nvec": self.nvec, "start": self.start, "shape": self.shape}
        described = {key: list(value) for key, value in lists.items()}
        return {"type": "multi_discrete", "dtype": self.dtype} | described

    @classmethod
    def from_json(cls, obj: JSON) -> MultiDiscrete:
        nvec, start, shape = (integers(obj[key]) for key in ("nvec", "start", "shape"))
        return cls(nvec, start, shape, read_dtype(obj.get("dtype", "int64")))


@dataclass(frozen=True)
class Tuple:
    spaces: tuple[Space, ...]

    @cached_property
    def flat_size(self) -> int:
        return sum(space.flat_size for space in self.spaces)

    def write(self, value: object, out: Floats, path: str) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != len(self.spaces):
            raise _mismatch(f"a list of {len(self.spaces)}", value, path)
        parts = [(f"{path}[{i}]", space) for i, space in enumerate(self.spaces)]
        _write_parts(parts, value, out)

    def to_json(self) -> JSON:
        return {"type": "tuple", "spaces": [space.to_json() for space in self.spaces]}

    @classmethod
    def from_json(cls, obj: JSON) -> Tuple:
        return cls(tuple(map(space_from_json, obj["spaces"])))


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
            raise _mismatch(f"an object with {keys}", value, path)
        parts = [(f"{path}.{key}", space) for key, space in self.spaces]
        _write_parts(parts, [value[key] for key in keys], out)

    def to_json(self) -> JSON:
        # Pairs, for some databases reorder the keys of an object.
        return {"type": "dict", "spaces": [[key, space.to_json()] for key, space in self.spaces]}

    @classmethod
    def from_json(cls, obj: JSON) -> Dict:
        return cls(tuple((str(key), space_from_json(part)) for key, part in obj["spaces"]))


Space: TypeAlias = Box | Discrete | MultiBinary | MultiDiscrete | Tuple | Dict


def flat_size(space: Space) -> int:
    return space.flat_size


def flatten(space: Space, observation: object, path: str = "observation") -> Floats:
    """An observation, as plain JSON values or numpy ones, as the network's (D,) input; always a
    fresh array."""
    out = np.empty(space.flat_size, np.float32)
    space.write(observation, out, path)
    return out


def flatten_batch(space: Space, observations: Sequence[object] | NDArray[Any]) -> Floats:
    """(B, D). An error names the observation it is about."""
    if not isinstance(observations, (list, tuple, np.ndarray)):
        raise _mismatch("a list of observations", observations, "")
    out = np.empty((len(observations), space.flat_size), np.float32)
    for index, observation in enumerate(observations):
        space.write(observation, out[index], f"observations[{index}]")
    return out


_READERS: Mapping[str, Callable[[JSON], Space]] = {
    "box": Box.from_json,
    "discrete": Discrete.from_json,
    "multi_binary": MultiBinary.from_json,
    "multi_discrete": MultiDiscrete.from_json,
    "tuple": Tuple.from_json,
    "dict": Dict.from_json,
}


def space_from_json(obj: JSON) -> Space:
    """What `to_json` gave. Anything else is a SpaceError."""
    kind = obj.get("type") if isinstance(obj, dict) else None
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise _unusable(f"a space of type {sorted(_READERS)}", describe(obj), "dtype")
    try:
        return read(obj)
    except SpaceError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        got = f"{type(error).__name__}: {error}"
        raise _unusable(f"a complete {kind} space", got, "shape") from error


def space_from_gymnasium(space: object, path: str = "") -> Space:
    """Gymnasium's own order of the keys of a Dict is kept. `path` names the space in an error."""
    from gymnasium import spaces as gym

    match space:
        case gym.Box():
            # Of the bounds of a bool, true and false become 1 and 0.
            number = float if space.dtype.kind == "f" else int
            low, high = (tuple(map(number, b.ravel().tolist())) for b in (space.low, space.high))
            return Box(low, high, tuple(map(int, space.shape)), str(space.dtype))
        case gym.Discrete():
            return Discrete(int(space.n), int(space.start))
        case gym.MultiBinary():
            return MultiBinary(tuple(map(int, space.shape)))
        case gym.MultiDiscrete():
            nvec, start = space.nvec.ravel().tolist(), space.start.ravel().tolist()
            return MultiDiscrete(tuple(nvec), tuple(start), space.nvec.shape, str(space.dtype))
        case gym.Tuple():
            named = ((f"{path}[{i}]", part) for i, part in enumerate(space.spaces))
            return Tuple(tuple(space_from_gymnasium(part, name) for name, part in named))
        case gym.Dict():
            parts = space.spaces.items()
            return Dict(tuple((k, space_from_gymnasium(v, f"{path}.{k}")) for k, v in parts))
    expected = "a Box, Discrete, MultiBinary, MultiDiscrete, Tuple or Dict space"
    raise SpaceError(kind="dtype", expected=expected, got=repr(space)[:200], path=path)


def _write_parts(parts: Iterable[tuple[str, Space]], values: Sequence[object], out: Floats) -> None:
    first = 0
    for (path, space), value in zip(parts, values, strict=True):
        space.write(value, out[first : first + space.flat_size], path)
        first += space.flat_size


def _mismatch(expected: str, value: object, path: str) -> SpaceError:
    mistake = shape_or_dtype(value)
    return SpaceError(kind=mistake, expected=expected, got=describe(value), path=path)


def _unusable(expected: str, got: str, kind: Mistake = "range") -> SpaceError:
    return SpaceError(kind=kind, expected=expected, got=got)


def _size(shape: tuple[int, ...]) -> int:
    if min(shape, default=1) < 1:
        raise _unusable("a shape without zeros", str(shape), "shape")
    return math.prod(shape)


def _limits(number_type: np.dtype[Any]) -> tuple[int, int]:
    if number_type.kind == "b":
        return 0, 1
    limits = np.iinfo(number_type)
    return int(limits.min), int(limits.max)


def _require_count(n: int) -> None:
    if n < 1:
        raise _unusable("at least one value", str(n))
