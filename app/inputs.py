"""What a client sends to a policy, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from store.servable import history_of, kind_of


def what_to_send(manifest: Mapping[str, Any]) -> str:
    history, space = history_of(manifest), manifest["observation_space"]
    one = _one(space["spaces"][0] if history > 1 else space)
    if kind_of(manifest) == "pixels":
        one += ", channels first: planes of rows of numbers from 0 to 255"
    if history == 1:
        return f"{one}."
    return (
        f"The latest {history} observations, oldest first; at the start of an episode the first "
        f"one repeated. Each: {one}."
    )


def _one(space: Mapping[str, Any]) -> str:
    match space["type"]:
        case "box":
            return _array(space["shape"], *_numbers(space["dtype"]))
        case "discrete":
            return f"an integer from {space['start']} to {space['start'] + space['n'] - 1}"
        case "multi_binary":
            return _array(space["shape"], "a zero or one", "zeros and ones")
        case "multi_discrete":
            return _array(space["shape"], "an integer", "integers")
        case "tuple":
            return f"a list of {len(space['spaces'])}: " + "; ".join(map(_one, space["spaces"]))
        case "dict":
            parts = (f"{key}: {_one(part)}" for key, part in space["spaces"])
            return "an object with " + "; ".join(parts)
    raise AssertionError(f"no space of type {space['type']!r}")


def _numbers(dtype: str) -> tuple[str, str]:
    if dtype == "bool":
        return "true or false", "values, each true or false"
    return ("a whole number", "whole numbers") if "int" in dtype else ("a number", "numbers")


def _array(shape: Sequence[int], one: str, many: str) -> str:
    match shape:
        case []:
            return one
        case [1]:
            return f"a list with {one}"
        case [length]:
            return f"a list of {length} {many}"
    return f"{' x '.join(map(str, shape))} {many}, as nested lists"
