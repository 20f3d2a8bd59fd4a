"""An observation of a client as the network's input, or a refusal that says what is wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.refusals import ActRefused
from mrq_core.spaces import (
    Box,
    Discrete,
    Floats,
    Mistake,
    MultiBinary,
    MultiDiscrete,
    Space,
    SpaceError,
    Tuple,
    flatten,
    flatten_batch,
)

_CODES: Mapping[Mistake, str] = {
    "shape": "observation_shape_mismatch",
    "dtype": "observation_dtype",
    "not_finite": "observation_not_finite",
    "range": "observation_out_of_range",
}


def read_rows(
    space: Space, value: Any, is_batch: bool | None, max_batch: int
) -> tuple[Floats, bool]:
    """(B, D), and whether they are a batch; None leaves that to the shape of an array."""
    if is_batch is None:
        return _of_array(space, value, max_batch)
    if is_batch:
        return _of_list(space, value, max_batch), True
    return read_observation(space, value), False


def array_shape(space: Space) -> tuple[int, ...] | None:
    """Of one observation as an array; None if there is no such array. Frames are stacked."""
    match space:
        case Box() | MultiBinary() | MultiDiscrete():
            return space.shape
        case Discrete():
            return ()
        case Tuple(spaces=(Box() as first, *others)) if all(each == first for each in others):
            return (len(space.spaces), *first.shape)
    return None


def _of_array(space: Space, array: NDArray[Any], max_batch: int) -> tuple[Floats, bool]:
    shape = array_shape(space)
    if shape is None:
        text = "An observation of this policy has parts of several kinds: send it as JSON."
        raise ActRefused("binary_unsupported", text, param="Content-Type")
    is_batch = array.ndim == len(shape) + 1
    if array.shape != shape and not (is_batch and array.shape[1:] == shape):
        expected = f"an array of shape {list(shape)}, or {['batch', *shape]}"
        raise _refusal(
            SpaceError(
                kind="shape", expected=expected, got=str(list(array.shape)), path="observation"
            )
        )
    if is_batch:
        _require_batch(len(array), max_batch)
    rows = _plain_rows(space, array if is_batch else array[np.newaxis])
    if rows is not None:
        return rows, is_batch
    values = [_nested(space, each) for each in array] if is_batch else _nested(space, array)
    return (_flat_batch(space, values) if is_batch else read_observation(space, values)), is_batch


def _nested(space: Space, array: NDArray[Any]) -> Any:
    """As a value of the space: a stack of frames is a tuple of them."""
    return tuple(array) if isinstance(space, Tuple) else array[()]


def _plain_rows(space: Space, arrays: NDArray[Any]) -> Floats | None:
    """(B, D) of numbers in a box's own type; all others, and all mistakes, one by one."""
    box = space.spaces[0] if isinstance(space, Tuple) else space
    if not isinstance(box, Box) or arrays.dtype != box.number_type:
        return None
    rows = arrays.reshape(len(arrays), -1).astype(np.float32)
    return rows if arrays.dtype.kind in "iub" or np.isfinite(rows).all() else None


def read_observation(space: Space, observation: Any) -> Floats:
    """(1, D)"""
    try:
        return flatten(space, observation)[np.newaxis]
    except SpaceError as error:
        raise _refusal(error) from None


def _of_list(space: Space, observations: Any, max_batch: int) -> Floats:
    """(B, D)"""
    _require_batch(len(observations) if isinstance(observations, list) else None, max_batch)
    return _flat_batch(space, observations)


def _require_batch(size: int | None, max_batch: int) -> None:
    if size is None or not 1 <= size <= max_batch:
        got = "no list" if size is None else f"{size} observations"
        raise ActRefused(
            "batch_size",
            f"observations must be a list of 1 to {max_batch} observations, got {got}.",
            param="observations",
            expected=f"1 to {max_batch}",
            got=size,
        )


def _flat_batch(space: Space, observations: Any) -> Floats:
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
