"""Numbers out of plain JSON lists or numpy arrays, and the words for what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Mistake: TypeAlias = Literal["shape", "dtype", "not_finite", "range"]


class SpaceError(ValueError):
    """A space that cannot be used, or a value that is not in its space."""

    def __init__(self, *, kind: Mistake, expected: str, got: str, path: str = "") -> None:
        super().__init__(f"{path + ': ' if path else ''}expected {expected}, got {got}")
        self.kind = kind
        self.expected = expected
        self.got = got
        self.path = path


# What type() a leaf of plain data may have; bool is a type of its own here.
_PLAIN = {"number": frozenset({float, int}), "integer": frozenset({int})}
_KINDS = {"number": "iuf", "integer": "iu"}
_SCALARS: dict[str, tuple[type, ...]] = {
    "number": (np.floating, np.integer),
    "integer": (np.integer,),
}
_TOO_LARGE: dict[str, Mistake] = {"number": "not_finite", "integer": "range"}


def typed_array(
    value: object, shape: tuple[int, ...], path: str, kind: str, *, flags: bool = False
) -> NDArray[Any]:
    """Numbers or integers of exactly this shape; true and false only where `flags` says so.
    Never a copy of an array: the caller takes one."""
    if isinstance(value, (np.ndarray, np.generic)):
        return _typed(np.asarray(value), shape, path, kind, flags=flags)
    leaves = _leaves(value, shape, path, kind)
    types = set(map(type, leaves))
    for leaf_type in types - _PLAIN[kind] - ({bool} if flags else set()):
        if not issubclass(leaf_type, (*_SCALARS[kind], np.bool_) if flags else _SCALARS[kind]):
            wrong = next(leaf for leaf in leaves if type(leaf) is leaf_type)
            raise _mismatch(wrong, value, shape, path, kind)
    try:
        return _array(leaves, kind, types).reshape(shape)
    except OverflowError as error:
        mistake, got = _TOO_LARGE[kind], "too large a one"
        raise SpaceError(kind=mistake, expected=_a(kind, shape), got=got, path=path) from error


def _array(leaves: list[Any], kind: str, types: set[type]) -> NDArray[Any]:
    if kind == "integer":
        return np.fromiter(leaves, np.int64, len(leaves))
    if types == {int}:
        # Half the time of float64, which counts for images; what does not fit may fit there.
        with suppress(OverflowError):
            return np.fromiter(leaves, np.int64, len(leaves))
    return np.fromiter(leaves, np.float64, len(leaves))


def _typed(
    array: NDArray[Any], shape: tuple[int, ...], path: str, kind: str, *, flags: bool
) -> NDArray[Any]:
    right_type = array.dtype.kind in _KINDS[kind] + "b" * flags
    if not right_type or array.shape != shape:
        mistake: Mistake = "shape" if right_type else "dtype"
        raise SpaceError(kind=mistake, expected=_a(kind, shape), got=describe(array), path=path)
    return array


def _leaves(value: object, shape: tuple[int, ...], path: str, kind: str) -> list[Any]:
    rows: list[Any] = [value]
    for length in shape:
        for row in rows:
            if not isinstance(row, (list, tuple)) or len(row) != length:
                raise _mismatch(row, value, shape, path, kind)
        rows = list(chain.from_iterable(rows))
    return rows


def _mismatch(
    wrong: object, value: object, shape: tuple[int, ...], path: str, kind: str
) -> SpaceError:
    got = describe(wrong) + ("" if wrong is value else " in it")
    return SpaceError(
        kind=shape_or_dtype(wrong, kind), expected=_a(kind, shape), got=got, path=path
    )


def shape_or_dtype(wrong: object, kind: str = "number") -> Mistake:
    """Whether it is a right thing at a wrong place, or no such thing at all."""
    if isinstance(wrong, (list, tuple, Mapping, np.ndarray)):
        return "shape"
    right_type = type(wrong) in _PLAIN[kind] or isinstance(wrong, _SCALARS[kind])
    return "shape" if right_type else "dtype"


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


def require_finite(numbers: NDArray[Any], array: NDArray[Any], path: str) -> None:
    """`numbers` is `array` as float32, whatever its shape."""
    finite = np.isfinite(numbers)
    if finite.all():
        return
    index = np.unravel_index(int(np.argmin(finite)), array.shape)
    place = f" at {[int(i) for i in index]}" if index else ""
    expected = "finite float32 numbers"
    raise SpaceError(kind="not_finite", expected=expected, got=f"{array[index]}{place}", path=path)
