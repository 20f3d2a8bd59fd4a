"""The last frames of an episode, for policies that see several at once.

K is a policy's history, W the numbers of one frame, D = K * W the network's inputs.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.refusals import SequenceGap
from mrq_core.spaces import Box, Floats, Space, Tuple

Frames: TypeAlias = NDArray[Any]  # (K, W), the oldest first; of history 1 (0, W)


class FrameForm:
    """How a policy's observation is made of frames."""

    def __init__(self, observation_space: Space, history: int) -> None:
        self.history = history
        if history > 1:
            assert isinstance(observation_space, Tuple), "a history is a tuple of frames"
            self.space = observation_space.spaces[0]
        else:
            self.space = observation_space
        self.width = self.space.flat_size
        self.dtype = _kept_as(self.space)
        self.kept_frames = history if history > 1 else 0

    @property
    def kept_bytes(self) -> int:
        return self.kept_frames * self.width * self.dtype.itemsize

    @cached_property
    def digest(self) -> bytes:
        """16 bytes. Two policies with the same one take each other's frames."""
        told = json.dumps([self.history, self.space.to_json()])
        return hashlib.blake2b(told.encode(), digest_size=16).digest()

    def after(self, frames: Frames | None, frame: Floats) -> tuple[Floats, Frames]:
        """The network's input (1, D), and what to keep, of one further frame (1, W); `frames`
        None: at an episode's start the first frame fills the history, as in training."""
        if self.history == 1:
            return frame, np.empty((0, self.width), self.dtype)  # a view would keep the frame
        row = frame.astype(self.dtype, copy=False)
        if frames is None:
            kept = np.repeat(row, self.history, axis=0)
        else:
            kept = np.concatenate([frames[1:], row])
        return kept.reshape(1, -1).astype(np.float32, copy=False), kept


def _kept_as(space: Space) -> np.dtype[Any]:
    """A byte of an image stays one: exact, for a float32 holds every number of up to 16 bits."""
    if isinstance(space, Box) and space.number_type.kind in "iu" and space.number_type.itemsize < 3:
        return space.number_type
    return np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class Step:
    """One further frame of an episode. It counts once it was acted on: `Episode.advance`."""

    rows: Floats  # (1, D)
    frames: Frames
    t: int
    number: int  # of the episode, from 1
    after: tuple[int, int]  # where the episode stood


class Episode:
    """Where a control loop stands: its last frames, and the `t` that comes next.

    Nothing changes until `advance`, so a request that fails leaves no trace, and of two at once
    that take the same step one is refused.
    """

    __slots__ = ("_frames", "next_t", "number")

    def __init__(self) -> None:
        self._frames: Frames | None = None
        self.next_t = 0
        self.number = 0  # of beginnings

    def step(self, form: FrameForm, t: int, reset: bool, frame: Floats) -> Step:
        """`frame` is (1, W). Raises `SequenceGap` unless `t` comes next, or is 0 with `reset`."""
        begins = reset or self.next_t == 0
        expected = 0 if begins else self.next_t
        if t != expected:
            raise sequence_gap(t, expected)
        rows, frames = form.after(None if begins else self._frames, frame)
        return Step(rows, frames, t, self.number + begins, (self.number, self.next_t))

    def advance(self, step: Step) -> None:
        """Raises `SequenceGap` if another step was taken meanwhile."""
        self.require_next(step)
        self._frames = step.frames
        self.number = step.number
        self.next_t = step.t + 1

    def require_next(self, step: Step) -> None:
        """Raises `SequenceGap` if another step was taken since this one was begun."""
        if step.after != (self.number, self.next_t):
            raise sequence_gap(step.t, self.next_t)

    def restart(self) -> None:
        """The next frame is an episode's first one."""
        self._frames, self.next_t = None, 0


def sequence_gap(t: int, expected: int) -> SequenceGap:
    text = (
        f"t={t} does not follow: {expected} is next. A step that failed is not counted; an episode "
        "begins anew with a reset and t=0."
    )
    return SequenceGap(text, param="t", expected_t=expected)
