"""The fields of a space in JSON, read with a clear word for what is no such field.

Infinities are the texts "inf" and "-inf", for JSON has none. Bounds that are all alike are one
number: an image has tens of thousands.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from mrq_core.typed_values import SpaceError, describe

JSON: TypeAlias = Any


def bounds_to_json(bounds: tuple[float, ...]) -> JSON:
    written = [_bound_to_json(bound) for bound in bounds]
    return written[0] if len(bounds) > 1 and len(set(bounds)) == 1 else written


def bounds_from_json(obj: JSON, size: int) -> tuple[float, ...]:
    if isinstance(obj, list):
        return tuple(map(_bound_from_json, obj))
    return (_bound_from_json(obj),) * size


def _bound_to_json(bound: float) -> float | str:
    return bound if math.isfinite(bound) else ("inf" if bound > 0 else "-inf")


def _bound_from_json(bound: object) -> float:
    """An integer stays one: the bounds of an int64 have no float."""
    if isinstance(bound, str) and bound in ("inf", "-inf"):
        return float(bound)
    if isinstance(bound, (int, float)) and not isinstance(bound, bool) and math.isfinite(bound):
        return bound
    raise _mistake('a number, "inf" or "-inf"', bound)


def integer(value: object) -> int:
    if type(value) is not int:
        raise _mistake("an integer", value)
    return value


def integers(values: object) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise _mistake("a list of integers", values)
    return tuple(map(integer, values))


def read_dtype(name: object) -> str:
    if not isinstance(name, str) or np.dtype(name).kind not in "iufb":
        raise _mistake("a number type", name)
    return name


def _mistake(expected: str, value: object) -> SpaceError:
    return SpaceError(kind="dtype", expected=expected, got=describe(value))
