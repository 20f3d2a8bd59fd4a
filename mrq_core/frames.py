"""Frames are stored once; what the networks see is a stack of the last few, rebuilt by index."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def take(array: NDArray[Any], slots: NDArray[np.int64], device: torch.device) -> Tensor:
    """A window may run past the last slot: around the ring, or, after a termination, into what is
    not stored yet. The latter is never looked at, but has to be finite."""
    return torch.from_numpy(array.take(slots, axis=0, mode="wrap")).to(device)


def take_stacks(
    frames: NDArray[Any],
    ages: NDArray[np.uint8],
    slots: NDArray[np.int64],
    offsets: NDArray[np.int64],
    history: int,
    device: torch.device,
) -> Tensor:
    """(B, K, history * C, ...) of the slots (B) plus each of the K offsets, oldest frame first.

    A frame is C, ...; a slot's age counts the earlier frames of its episode, up to history - 1.
    Where there are fewer, the oldest is repeated: an episode's first observation fills its stack.
    Neighbouring stacks share frames, so each is copied (and sent to the device) once per window.
    """
    reach = np.unique(offsets[:, None] - np.arange(history))  # (R) sorted, all that may be needed
    taken = take(frames, slots[:, None] + reach, device)  # (B, R, C, ...)
    if history > 1:
        age = ages.take(slots[:, None] + offsets, mode="wrap")[..., None]
        back = np.minimum(np.arange(history)[::-1], age)  # (B, K, history)
        column = np.searchsorted(reach, offsets[:, None] - back)
        rows = np.arange(len(slots))[:, None, None] * len(reach) + column
        index = torch.from_numpy(rows.reshape(-1)).to(device)
        taken = taken.flatten(0, 1).index_select(0, index)
    channels, *rest = frames.shape[1:]
    return taken.reshape(len(slots), len(offsets), history * channels, *rest)
