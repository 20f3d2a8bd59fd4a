"""An observation of a client as the network's input, or a refusal that says what is wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.refusals import ActRefused
from mrq_core.spaces import Floats, Mistake, Space, SpaceError, flatten, flatten_batch

_CODES: Mapping[Mistake, str] = {
    "shape": "observation_shape_mismatch",
    "dtype": "observation_dtype",
    "not_finite": "observation_not_finite",
    "range": "observation_out_of_range",
}


def read_observation(space: Space, observation: Any) -> Floats:
    """(1, D)"""
    try:
        return flatten(space, observation)[np.newaxis]
    except SpaceError as error:
        raise _refusal(error) from None


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
        raise _refusal(error) from None


def _refusal(error: SpaceError) -> ActRefused:
    return ActRefused(
        _CODES[error.kind],
        f"{error}.",
        param=error.path,
        expected=error.expected,
        got=error.got,
    )
