"""Between the network's actions, (B, A) in [-1, 1] or one-hot, and the environment's own.

Every finite kind of action is a number of choices made side by side, its components: one for a
Discrete, one per element (in C order) for a MultiDiscrete, a MultiBinary and a Box of booleans.
A is the sum of their sizes. A mask (A,) says which values of each component are legal.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mrq_core.spaces import (
    Box,
    Discrete,
    Floats,
    MultiBinary,
    MultiDiscrete,
    Space,
    SpaceError,
    describe,
    typed_array,
)

Mask: TypeAlias = NDArray[np.bool_]

# Bounds from here on are somebody's way of writing infinity.
UNBOUNDED = 1e30
# Numbers up to which a loop beats numpy.
FEW = 32


class ActionCodec(Protocol):
    """The kinds of action space that MR.Q knows, seen alike by all that follows."""

    action_dim: int
    # Sizes of the one-hot groups; () if continuous.
    components: tuple[int, ...]
    discrete: bool

    def to_environment(self, network_action: Floats, mask: Mask | None = None) -> NDArray[Any]:
        """(B, A) -> (B, *shape) in the space's own units and dtype. Of a discrete action the
        largest value of each component counts that the mask (B, A) allows: one-hots, logits and
        noisy logits all do."""

    def from_environment(self, action: object, path: str = "action") -> Floats:
        """One action -> (A,). An action outside the space is a SpaceError."""

    def uniform(self, rng: np.random.Generator, mask: Mask | None = None) -> Floats:
        """(A,): each dimension in [-1, 1], or one of the legal values of each component."""

    def read_mask(
        self, value: object, path: str = "action_mask", *, terminal: bool = False
    ) -> Mask:
        """(A,) out of zeros and ones, or true and false: the components one after the other, or,
        as Gymnasium has it, a mask for each component, nested like the action.

        A component without a legal value is a SpaceError. In a terminal state, where nobody acts
        any more, it counts as free.
        """


class BoxActions:
    """Affine per dimension, so that asymmetric and unequal bounds are reached exactly. Between
    integers the nearest is taken."""

    discrete = False
    components: tuple[int, ...] = ()

    def __init__(self, space: Box) -> None:
        self.space = space
        self.action_dim = space.flat_size
        self.low, self.high = np.array(space.low), np.array(space.high)
        _require_bounds(space)
        self.centre = self.low / 2 + self.high / 2
        self.half = self.high / 2 - self.low / 2
        ends = (self.low, self.high, self.centre, self.half)
        self._dimensions = list(zip(*(end.astype(float).tolist() for end in ends), strict=True))

    def to_environment(self, network_action: Floats, mask: Mask | None = None) -> NDArray[Any]:
        assert mask is None, "no mask for a continuous action"
        if network_action.size <= FEW and self.space.number_type.kind == "f":
            return self._few_to_environment(network_action)
        scaled = self.centre + self.half * network_action
        if self.space.number_type.kind != "f":
            scaled = np.rint(scaled)
        # As np.clip, in place and without its wrapping: this stands on the way of every action.
        np.minimum(np.maximum(scaled, self.low, out=scaled), self.high, out=scaled)
        # Rounding can leave it a hair inside.
        np.copyto(scaled, self.high, where=network_action >= 1.0)
        np.copyto(scaled, self.low, where=network_action <= -1.0)
        return scaled.astype(self.space.dtype).reshape(-1, *self.space.shape)

    def _few_to_environment(self, network_action: Floats) -> NDArray[Any]:
        """The same to the last bit, number by number: for one action a dozen numpy calls cost
        several times as much, and this stands on the way of every served one."""
        scaled = [
            [_scaled(x, *dimension) for x, dimension in zip(row, self._dimensions, strict=True)]
            for row in network_action.tolist()
        ]
        return np.array(scaled, self.space.number_type).reshape(-1, *self.space.shape)

    def from_environment(self, action: object, path: str = "action") -> Floats:
        value = self.space.read(action, path).reshape(-1)
        for index in np.flatnonzero(~((value >= self.low) & (value <= self.high))):
            expected = f"[{self.low[index]}, {self.high[index]}] in dimension {index}"
            raise SpaceError(kind="range", expected=expected, got=str(value[index]), path=path)
        # A dimension without width has one action, whatever the network says: 0.
        width = np.where(self.half > 0, self.half, 1.0)
        return ((value - self.centre) / width).astype(np.float32)

    def uniform(self, rng: np.random.Generator, mask: Mask | None = None) -> Floats:
        assert mask is None, "no mask for a continuous action"
        return rng.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)

    def read_mask(
        self,
        value: object,
        path: str = "action_mask",
        *,
        terminal: bool = False,  # noqa: ARG002  it is the protocol's
    ) -> Mask:
        expected = "no mask, for the actions are continuous"
        raise SpaceError(kind="shape", expected=expected, got=describe(value), path=path)


def _scaled(x: float, low: float, high: float, centre: float, half: float) -> float:
    """NaN stays NaN."""
    if x >= 1.0:
        return high
    if x <= -1.0:
        return low
    value = centre + half * x
    return low if value < low else high if value > high else value


class ChoiceActions:
    """`shape` and `dtype` are the environment's; `starts` the least value of each component.
    `binary` ones may be written as true and false."""

    discrete = True

    def __init__(
        self,
        sizes: tuple[int, ...],
        starts: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: str,
        *,
        binary: bool = False,
    ) -> None:
        assert len(sizes) == len(starts) == math.prod(shape)
        self.binary = binary
        self.components = sizes
        self.starts = np.array(starts)
        self.shape = shape
        self.dtype = dtype
        self.action_dim = sum(sizes)
        ends = list(accumulate(sizes))
        self.groups = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

    def to_environment(self, network_action: Floats, mask: Mask | None = None) -> NDArray[Any]:
        preferred = network_action
        if mask is not None:
            preferred = np.where(mask, network_action, -np.inf)
        indices = [preferred[:, group].argmax(axis=1) for group in self.groups]
        values = np.stack(indices, axis=1) + self.starts
        actions: NDArray[Any] = values.astype(self.dtype)
        return actions.reshape(-1, *self.shape)

    def from_environment(self, action: object, path: str = "action") -> Floats:
        values = typed_array(action, self.shape, path, "integer", flags=self.binary).reshape(-1)
        indices = values.astype(np.int64) - self.starts
        if ((indices < 0) | (indices >= np.array(self.components))).any():
            expected = _allowed(self.starts.tolist(), self.components)
            raise SpaceError(kind="range", expected=expected, got=describe(action), path=path)
        return self._one_hot(indices.tolist())

    def uniform(self, rng: np.random.Generator, mask: Mask | None = None) -> Floats:
        if mask is None:
            return self._one_hot([int(rng.integers(size)) for size in self.components])
        legal = [np.flatnonzero(mask[group]) for group in self.groups]
        return self._one_hot([int(values[rng.integers(len(values))]) for values in legal])

    def read_mask(
        self, value: object, path: str = "action_mask", *, terminal: bool = False
    ) -> Mask:
        mask = _read_components(value, self.components, self.shape, path)
        for index, group in enumerate(self.groups):
            if terminal and not mask[group].any():
                mask[group] = True
            if not mask[group].any():
                which = f" of component {index}" if len(self.components) > 1 else ""
                expected = f"at least one legal value{which}"
                raise SpaceError(kind="range", expected=expected, got="none", path=path)
        return mask

    def _one_hot(self, indices: list[int]) -> Floats:
        one_hot = np.zeros(self.action_dim, np.float32)
        for group, index in zip(self.groups, indices, strict=True):
            one_hot[group.start + index] = 1.0
        return one_hot


@lru_cache(maxsize=256)
def action_codec(space: Space) -> ActionCodec:
    match space:
        case Box() if space.dtype == "bool":
            return _binary(space.shape, "bool")
        case Box():
            return BoxActions(space)
        case Discrete():
            return ChoiceActions((space.n,), (space.start,), (), "int64")
        case MultiBinary():
            return _binary(space.shape, "int8")
        case MultiDiscrete():
            return ChoiceActions(space.nvec, space.start, space.shape, space.dtype)
    expected = "a Box, Discrete, MultiBinary or MultiDiscrete action space"
    raise SpaceError(kind="dtype", expected=expected, got=describe(space), path="action space")


def _binary(shape: tuple[int, ...], dtype: str) -> ChoiceActions:
    size = math.prod(shape)
    return ChoiceActions((2,) * size, (0,) * size, shape, dtype, binary=True)


def action_dim(space: Space) -> int:
    return action_codec(space).action_dim


def to_environment(space: Space, network_action: Floats) -> NDArray[Any]:
    return action_codec(space).to_environment(network_action)


def from_environment(space: Space, action: object) -> Floats:
    return action_codec(space).from_environment(action)


def _read_components(
    value: object, sizes: tuple[int, ...], shape: tuple[int, ...], path: str
) -> Mask:
    """(A,), a fresh array; the value is all components one after the other, or nested like
    `shape` with a mask for each."""
    if _is_flat(value):
        return _flags(value, sum(sizes), path)
    parts: list[Any] = [value.tolist() if isinstance(value, np.ndarray) else value]
    for length in shape:
        for part in parts:
            if not isinstance(part, (list, tuple)) or len(part) != length:
                expected = f"masks for components of shape {shape}"
                raise SpaceError(kind="shape", expected=expected, got=describe(part), path=path)
        parts = list(chain.from_iterable(parts))
    named = enumerate(zip(parts, sizes, strict=True))
    return np.concatenate([_flags(part, size, f"{path}[{i}]") for i, (part, size) in named])


def _is_flat(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype != object
    rows = (list, tuple, np.ndarray)
    return isinstance(value, (list, tuple)) and bool(value) and not isinstance(value[0], rows)


def _flags(value: object, size: int, path: str) -> Mask:
    array = typed_array(value, (size,), path, "number", flags=True)
    if ((array != 0) & (array != 1)).any():
        raise SpaceError(kind="range", expected="zeros and ones", got=describe(value), path=path)
    return array.astype(np.bool_)


def _require_bounds(space: Box) -> None:
    """Finite ones, or a uniform action and the way back from one mean nothing."""
    least, most = _numbers_for_infinity(space.number_type)
    for index, (low, high) in enumerate(zip(space.low, space.high, strict=True)):
        if not (least < low and high < most):
            expected = f"finite action bounds in dimension {index}"
            got = f"[{low}, {high}]"
            raise SpaceError(kind="range", expected=expected, got=got, path="action space")


def _numbers_for_infinity(number_type: np.dtype[Any]) -> tuple[float, float]:
    """A space without bounds has the ends of its type, or nearly. Only of the small integers, a
    byte say, may the whole range be meant."""
    if number_type.kind == "f":
        most = min(float(np.finfo(number_type).max), UNBOUNDED)
        return -most, most
    if number_type.itemsize < 4:
        return -UNBOUNDED, UNBOUNDED
    limits = np.iinfo(number_type)
    return (limits.min if number_type.kind == "i" else -1), limits.max


def _allowed(starts: list[int], sizes: tuple[int, ...]) -> str:
    if len(sizes) == 1:
        return f"an integer from {starts[0]} to {starts[0] + sizes[0] - 1}"
    return f"integers from {starts} and below that plus {list(sizes)}"
