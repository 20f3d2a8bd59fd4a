"""The spec of a new job, made of another's and what differs: a JSON merge patch (RFC 7396)."""

from copy import deepcopy
from typing import Any

from store.catalogue import CATALOGUE
from store.seeds import name_with
from store.spec import default_every_steps, default_name

DEFAULT_PRESET = "paper"
DEFAULT_ALGORITHM = "mrq"
DEFAULT_MODE = "online"


def cloned_spec(spec: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`spec` is resolved: it names every default, also those that follow from other fields. Such a
    one is left out where the field that it follows from is another, so that it follows anew."""
    base = deepcopy(spec)
    for follows in ("observation", "dataset"):
        base["environment"].pop(follows, None)
    environment, algorithm = base["environment"], base["algorithm"]
    elsewhere = _differs(overrides.get("environment"), "id", environment["id"])
    learns = overrides.get("algorithm")
    otherwise = _differs(learns, "name", algorithm["name"], DEFAULT_ALGORITHM)
    if (elsewhere or otherwise) and base["name"] == default_name(
        environment["id"], algorithm["name"]
    ):
        del base["name"]  # or the clone would take over the first one's policies
    if elsewhere:
        _leave_out_epsilon(base)
        base["environment"] = {}
    if _differs(learns, "mode", algorithm.get("mode", DEFAULT_MODE), DEFAULT_MODE):
        algorithm.pop("offline", None)
    if otherwise or _differs(learns, "preset", algorithm["preset"], DEFAULT_PRESET):
        algorithm.pop("hyperparameters", None)
    if _differs(overrides, "seed", base["seed"], 0):
        _rename_for_seed(base, overrides["seed"])
    begins = overrides.get("init_from")
    if isinstance(begins, dict) and {"checkpoint_id", "job_id"} & begins.keys():
        for name in ("checkpoint_id", "job_id", "sha256"):
            base.get("init_from", {}).pop(name, None)
    total = base["budget"]["total_steps"]
    if _differs(overrides.get("budget"), "total_steps", total):
        for part in ("evaluation", "checkpointing"):
            if base[part]["every_steps"] == default_every_steps(part, total):
                del base[part]["every_steps"]
    return merged(base, overrides)


def _leave_out_epsilon(base: dict[str, Any]) -> None:
    """It follows from the environment, unless another one was asked for."""
    entry = CATALOGUE.get(base["environment"]["id"])
    if entry is not None and base["evaluation"].get("epsilon") == entry.evaluation_epsilon:
        del base["evaluation"]["epsilon"]


def _rename_for_seed(base: dict[str, Any], seed: Any) -> None:
    """A job of a group has its seed in its name."""
    stem = base["name"].removesuffix(name_with("", base["seed"]))
    if stem != base["name"]:
        base["name"] = name_with(stem, 0 if seed is None else seed)


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


def _differs(patch: Any, field: str, now: Any, default: Any = None) -> bool:
    if not isinstance(patch, dict) or field not in patch:
        return False
    wanted = default if patch[field] is None else patch[field]
    return bool(wanted != now)
