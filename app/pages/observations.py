"""From the flat vectors of a policy's manifest back to what a client sends to `act`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def example_observation(space: Mapping[str, Any], golden: Sequence[float]) -> Any:
    """A golden observation in the form that its space has in JSON."""
    return _unflatten(space, [float(value) for value in golden])


def _unflatten(space: Mapping[str, Any], flat: list[float]) -> Any:
    """Takes from the front of `flat` what the space needs."""
    match space["type"]:
        case "box":
            values = _take(flat, math.prod(space["shape"]))
            whole = "int" in space["dtype"]
            return _shape([int(v) if whole else _short(v) for v in values], space["shape"])
        case "discrete":
            return _hot(flat, space["n"]) + space["start"]
        case "multi_binary":
            values = _take(flat, math.prod(space["shape"]))
            return _shape([int(v) for v in values], space["shape"])
        case "multi_discrete":
            pairs = zip(space["nvec"], space["start"], strict=True)
            return _shape([_hot(flat, n) + start for n, start in pairs], space["shape"])
        case "tuple":
            return [_unflatten(part, flat) for part in space["spaces"]]
        case "dict":
            return {key: _unflatten(part, flat) for key, part in space["spaces"]}
    raise AssertionError(f"no space of type {space['type']!r}")


def _take(flat: list[float], size: int) -> list[float]:
    taken = flat[:size]
    del flat[:size]
    return taken


def _hot(flat: list[float], n: int) -> int:
    return _take(flat, n).index(1.0)


def _short(value: float) -> float:
    """An example need not carry all the digits of a float32."""
    return round(value, 4)


def _shape(values: list[Any], shape: list[int]) -> Any:
    if not shape:
        return values[0]
    rows = values
    for length in reversed(shape[1:]):
        rows = [rows[start : start + length] for start in range(0, len(rows), length)]
    return rows
