"""Which tensors a policy takes and gives, and how a space becomes them.

B is the number of observations, always the first dimension; A the network's outputs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.views import TensorView
from app.serving.observation import array_shape
from mrq_core.actions import ActionCodec
from mrq_core.spaces import Box, Dict, MultiBinary, MultiDiscrete, Space, Tuple

OBSERVATION, MASK, ACTION = "observation", "action_mask", "action"
# The protocol's words for number types, in bytes little-endian. It has others, of texts and of
# shortened floats, which no space has.
NUMBER_TYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("bool"),
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
_DATATYPES = {dtype: name for name, dtype in NUMBER_TYPES.items()}


@dataclass(frozen=True)
class TensorForm:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # without B

    def view(self) -> TensorView:
        shape = [-1, *self.shape]
        return {"name": self.name, "datatype": datatype(self.dtype), "shape": shape}


def datatype(dtype: np.dtype[Any]) -> str:
    return _DATATYPES[dtype]


@lru_cache(maxsize=256)
def observation_forms(space: Space) -> tuple[TensorForm, ...]:
    """One tensor if the space is one array, else one for each part, named by its path."""
    return tuple(_forms(space, OBSERVATION))


def mask_form(codec: ActionCodec) -> TensorForm | None:
    """Never required; None for continuous actions."""
    if not codec.discrete:
        return None
    return TensorForm(MASK, np.dtype("bool"), (codec.action_dim,))


def action_form(codec: ActionCodec) -> TensorForm:
    action = codec.to_environment(np.zeros((1, codec.action_dim), np.float32))
    return TensorForm(ACTION, action.dtype, action.shape[1:])


def value_of(space: Space, arrays: Iterator[NDArray[Any]]) -> Any:
    """One observation out of its parts' arrays, in the order of `observation_forms`."""
    if array_shape(space) is not None:
        array = next(arrays)
        return tuple(array) if isinstance(space, Tuple) else array[()]
    match space:
        case Dict():
            return {key: value_of(part, arrays) for key, part in space.spaces}
        case Tuple():
            return [value_of(part, arrays) for part in space.spaces]
    raise AssertionError(space)


def _forms(space: Space, path: str) -> Iterator[TensorForm]:
    shape = array_shape(space)
    if shape is not None:
        yield TensorForm(path, _number_type(space), shape)
        return
    match space:
        case Dict():
            parts = [(f"{path}.{key}", part) for key, part in space.spaces]
        case Tuple():
            parts = [(f"{path}[{index}]", part) for index, part in enumerate(space.spaces)]
        case _:
            raise AssertionError(space)
    for name, part in parts:
        yield from _forms(part, name)


def _number_type(space: Space) -> np.dtype[Any]:
    """Gymnasium's: that of a Discrete is int64, of a MultiBinary int8."""
    match space:
        case Box():
            return space.number_type
        case MultiDiscrete():
            return np.dtype(space.dtype)
        case MultiBinary():
            return np.dtype("int8")
        case Tuple():
            return _number_type(space.spaces[0])
    return np.dtype("int64")
