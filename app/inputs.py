"""What a client sends to a policy, in words."""

import math
from collections.abc import Mapping
from typing import Any


def history_of(manifest: Mapping[str, Any]) -> int:
    """Frames in one observation. Manifests of the first release do not say: 1."""
    history: int = manifest.get("history", 1)
    return history


def what_to_send(manifest: Mapping[str, Any]) -> str:
    history, space = history_of(manifest), manifest["observation_space"]
    one = _one(space["spaces"][0] if history > 1 else space)
    if manifest.get("observation_kind") == "pixels":
        one += ", channels first: planes of rows of whole numbers from 0 to 255"
    if history == 1:
        return f"{one}."
    return (
        f"The latest {history} observations, oldest first; at the start of an episode the first "
        f"one repeated. Each: {one}."
    )


def _one(space: Mapping[str, Any]) -> str:
    match space["type"]:
        case "box" if not space["shape"]:
            return "a number"
        case "box":
            shape = " x ".join(map(str, space["shape"]))
            return f"{shape} numbers, as lists" if len(space["shape"]) > 1 else f"a list of {shape}"
        case "discrete":
            return f"an integer from {space['start']} to {space['start'] + space['n'] - 1}"
        case "multi_binary":
            return f"{math.prod(space['shape'])} zeros and ones"
        case "multi_discrete":
            return f"{math.prod(space['shape'])} integers"
        case "tuple":
            return f"a list of {len(space['spaces'])}: " + "; ".join(map(_one, space["spaces"]))
        case "dict":
            parts = (f"{key}: {_one(part)}" for key, part in space["spaces"])
            return "an object with " + "; ".join(parts)
    raise AssertionError(f"no space of type {space['type']!r}")
