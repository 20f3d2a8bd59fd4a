"""Between the network's actions, (B, A) in [-1, 1] or one-hot, and the environment's own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mrq_core.spaces import Box, Discrete, Floats, Space, SpaceError, describe, flatten, typed_array


class ActionCodec(Protocol):
    """The two kinds of action space that MR.Q knows, seen alike by all that follows."""

    action_dim: int
    discrete: bool

    def to_environment(self, network_action: Floats) -> NDArray[Any]:
        """(B, A) -> (B, *shape) in the space's own units and dtype, or (B,) integers."""

    def from_environment(self, action: object) -> Floats:
        """One action -> (A,). An action outside the space is a SpaceError."""


class BoxActions:
    """Affine per dimension, so that asymmetric and unequal bounds are reached exactly."""

    discrete = False

    def __init__(self, space: Box) -> None:
        if np.dtype(space.dtype).kind != "f":
            raise SpaceError(expected="a Box of floats as the action space", got=space.dtype)
        self.space = space
        self.action_dim = space.flat_size
        self.low, self.high = np.array(space.low), np.array(space.high)
        for index in np.flatnonzero(~np.isfinite(self.low) | ~np.isfinite(self.high)):
            got = f"[{self.low[index]}, {self.high[index]}]"
            expected = f"finite action bounds in dimension {index}"
            raise SpaceError(expected=expected, got=got, path="action space")
        self.centre = self.low / 2 + self.high / 2
        self.half = self.high / 2 - self.low / 2

    def to_environment(self, network_action: Floats) -> NDArray[Any]:
        scaled = np.clip(self.centre + self.half * network_action, self.low, self.high)
        return scaled.astype(self.space.dtype).reshape(-1, *self.space.shape)

    def from_environment(self, action: object) -> Floats:
        value = typed_array(action, self.space.shape, "action", "number").reshape(-1)
        for index in np.flatnonzero(~((value >= self.low) & (value <= self.high))):
            expected = f"[{self.low[index]}, {self.high[index]}] in dimension {index}"
            raise SpaceError(expected=expected, got=str(value[index]), path="action")
        # A dimension without width has one action, whatever the network says: 0.
        width = np.where(self.half > 0, self.half, 1.0)
        return ((value - self.centre) / width).astype(np.float32)


class DiscreteActions:
    discrete = True

    def __init__(self, space: Discrete) -> None:
        self.space = space
        self.action_dim = space.n

    def to_environment(self, network_action: Floats) -> NDArray[Any]:
        choice: NDArray[np.int64] = network_action.argmax(axis=1) + self.space.start
        return choice

    def from_environment(self, action: object) -> Floats:
        return flatten(self.space, action)


@lru_cache(maxsize=256)
def action_codec(space: Space) -> ActionCodec:
    if isinstance(space, Box):
        return BoxActions(space)
    if isinstance(space, Discrete):
        return DiscreteActions(space)
    raise SpaceError(expected="a Box or Discrete action space", got=describe(space))


def action_dim(space: Space) -> int:
    return action_codec(space).action_dim


def to_environment(space: Space, network_action: Floats) -> NDArray[Any]:
    return action_codec(space).to_environment(network_action)


def from_environment(space: Space, action: object) -> Floats:
    return action_codec(space).from_environment(action)
