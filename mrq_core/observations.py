"""How observations reach the network: as a flat vector or as an image, one or several at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mrq_core.config import SMALLEST_SIDE
from mrq_core.spaces import Box, Space, SpaceError, Tuple, flatten

ObservationKind: TypeAlias = Literal["vector", "pixels"]

# Frames that make up one input: a single image does not show what moves where.
DEFAULT_HISTORY: Mapping[ObservationKind, int] = MappingProxyType({"vector": 1, "pixels": 4})


@dataclass(frozen=True)
class ObservationForm:
    """`frame_shape` is of one frame, as it is stored: (D,), or (C, H, W) of pixels. An input of
    the network is `history` of them, the oldest first."""

    kind: ObservationKind
    frame_shape: tuple[int, ...]
    history: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.history * self.frame_shape[0], *self.frame_shape[1:])

    @property
    def input_size(self) -> int:
        return math.prod(self.input_shape)

    @property
    def dtype(self) -> type[np.float32] | type[np.uint8]:
        return np.uint8 if self.kind == "pixels" else np.float32

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.frame_shape) * np.dtype(self.dtype).itemsize


def observation_form(space: Space, history: int | None = None) -> ObservationForm:
    """Pixels are a Box of bytes from 0 to 255 with two sides that the convolutions can take.
    Everything else, smaller images too, is flattened. `history` None: DEFAULT_HISTORY."""
    if space.flat_size == 0:
        expected = "an observation space that holds a number"
        raise SpaceError(kind="shape", expected=expected, got=repr(space)[:80])
    if history is not None and history < 1:
        raise ValueError(f"history is {history}; it must be at least 1")
    kind: ObservationKind = "vector"
    frame_shape: tuple[int, ...] = (space.flat_size,)
    if isinstance(space, Box) and _is_image(space):
        kind, frame_shape = "pixels", _planes_first(space.shape)
    return ObservationForm(kind, frame_shape, DEFAULT_HISTORY[kind] if history is None else history)


def to_frame(
    space: Space, form: ObservationForm, observation: object, path: str = "observation"
) -> NDArray[Any]:
    """(D,) float32 or (C, H, W) uint8, and never a view: environments write into their arrays
    again. SpaceError if it is not in the space."""
    if form.kind == "vector":
        return flatten(space, observation, path)
    assert isinstance(space, Box)
    image = space.read(observation, path)
    if _planes_come_last(space.shape):
        image = np.moveaxis(image, -1, 0)
    return np.array(image.reshape(form.frame_shape), np.uint8, order="C")


def wire_space(space: Space, form: ObservationForm) -> Space:
    """What a client of a policy sends: images with the planes first, and with a history as many
    frames, the oldest first; at an episode's start the first one again and again."""
    frame = space
    if form.kind == "pixels":
        size = math.prod(form.frame_shape)
        frame = Box((0,) * size, (255,) * size, form.frame_shape, "uint8")
    return frame if form.history == 1 else Tuple((frame,) * form.history)


class FrameHistory:
    """The last frames of an episode; before its start the first frame is repeated."""

    def __init__(self, form: ObservationForm) -> None:
        self.form = form
        # (history, *frame_shape), the oldest first. Replaced at every step and never written to,
        # so that what was handed out stays as it was.
        self.frames = np.zeros((form.history, *form.frame_shape), form.dtype)

    def begin(self, frame: NDArray[Any]) -> None:
        self.frames = np.repeat(frame[None], self.form.history, axis=0)

    def append(self, frame: NDArray[Any]) -> None:
        self.frames = np.concatenate([self.frames[1:], frame[None]])

    def input(self) -> NDArray[Any]:
        return self.frames.reshape(self.form.input_shape)


def _is_image(space: Box) -> bool:
    if len(space.shape) not in (2, 3) or space.dtype != "uint8":
        return False
    _, height, width = _planes_first(space.shape)
    whole_bytes = set(space.low) == {0} and set(space.high) == {255}
    return whole_bytes and min(height, width) >= SMALLEST_SIDE


def _planes_come_last(shape: tuple[int, ...]) -> bool:
    """Unless the first axis is the smaller one."""
    return len(shape) == 3 and shape[0] >= shape[-1]


def _planes_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 2:
        return (1, *shape)
    return (shape[-1], *shape[:-1]) if _planes_come_last(shape) else shape
