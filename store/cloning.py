"""The spec of a new job, made of another's and what differs: a JSON merge patch (RFC 7396)."""

from copy import deepcopy
from typing import Any


def cloned_spec(spec: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`spec` is resolved: it names every default, also those that follow from other fields.

    So the environment's other fields begin anew where its id is another, and the
    hyperparameters where the preset is.
    """
    base = deepcopy(spec)
    environment, algorithm = overrides.get("environment"), overrides.get("algorithm")
    base.get("environment", {}).pop("observation", None)  # a fact that follows from the rest
    if _changes(base.get("environment"), environment, "id"):
        base["environment"] = {}
    if _changes(base.get("algorithm"), algorithm, "preset"):
        base["algorithm"].pop("hyperparameters", None)
    return merged(base, overrides)


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """null takes a field away, so that its default applies."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def _changes(part: Any, patch: Any, field: str) -> bool:
    return isinstance(patch, dict) and field in patch and patch[field] != part.get(field)
