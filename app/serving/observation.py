"""An observation of a client as the network's input, or a refusal that says what is wrong."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from app.refusals import ActRefused
from mrq_core.spaces import Floats, Space, SpaceError, flatten, flatten_batch

_LARGEST = float(np.finfo(np.float32).max)


def read_observation(space: Space, observation: Any) -> Floats:
    """(1, D)"""
    try:
        return flatten(space, observation)[np.newaxis]
    except SpaceError as error:
        raise _refusal(error, observation) from None


def read_observations(space: Space, observations: Any, max_batch: int) -> Floats:
    """(B, D)"""
    if not isinstance(observations, list) or not 1 <= len(observations) <= max_batch:
        size = len(observations) if isinstance(observations, list) else None
        got = "no list" if size is None else f"{size} observations"
        raise ActRefused(
            "batch_size",
            f"observations must be a list of 1 to {max_batch} observations, got {got}.",
            param="observations",
            expected=f"1 to {max_batch}",
            got=size,
        )
    try:
        return flatten_batch(space, observations)
    except SpaceError as error:
        raise _refusal(error, observations) from None


def _refusal(error: SpaceError, value: Any) -> ActRefused:
    return ActRefused(
        _code(error, value), f"{error}.", param=error.path, expected=error.expected, got=error.got
    )


def _code(error: SpaceError, value: Any) -> str:
    leaves = list(_leaves(value))
    if any(type(leaf) not in (int, float) for leaf in leaves):
        return "observation_dtype"
    if any(not math.isfinite(leaf) or abs(leaf) > _LARGEST for leaf in leaves):
        return "observation_not_finite"
    if error.expected.startswith(("an integer from", "integers from", "zeros and ones")):
        return "observation_out_of_range"
    whole_numbers = error.expected == "an integer" or "integers" in error.expected
    if whole_numbers and any(type(leaf) is float for leaf in leaves):
        return "observation_dtype"
    return "observation_shape_mismatch"


def _leaves(value: Any) -> Iterator[Any]:
    """Without recursion: a client may nest a thousand lists."""
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            rest.extend(part.values())
        elif isinstance(part, list):
            rest.extend(part)
        else:
            yield part
