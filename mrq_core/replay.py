"""What the agent has lived through, and windows of it drawn by priority (section 4.2.2, LAP).

Every slot holds a frame and what was done there. An episode of n steps takes n + 1 slots: the last
holds its final frame, is no transition and never starts a window. So the next frame of a slot is
always the next slot's, also at an episode's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrq_core.config import Hyperparameters, allocated_slots
from mrq_core.frames import take, take_stacks
from mrq_core.observations import ObservationForm
from mrq_core.spaces import Floats
from mrq_core.sum_tree import SumTree

Mask = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class EncoderBatch:
    """B windows of H = enc_horizon transitions; what follows a termination is to be ignored.

    S is the form's input shape; states are of the form's dtype, so pixels are uint8.
    """

    state: Tensor  # (B, *S), the first
    action: Tensor  # (B, H, A)
    next_state: Tensor  # (B, H, *S)
    reward: Tensor  # (B, H)
    terminated: Tensor  # (B, H) bool
    # Whether the environment ever terminated: until then that loss is off.
    terminations_seen: bool


@dataclass(frozen=True)
class ValueBatch:
    """B windows of H = q_horizon transitions, of which only the ends are needed."""

    state: Tensor  # (B, *S)
    action: Tensor  # (B, A)
    next_state: Tensor  # (B, *S), after H transitions
    reward: Tensor  # (B, H)
    terminated: Tensor  # (B, H) bool
    # Which choices were legal there: (B, A) bool. None where the environment has no masks.
    mask: Tensor | None = None
    next_mask: Tensor | None = None


# What a slot holds; never changed between being written and being overwritten.
COLUMNS = ("frame", "action", "reward", "terminated", "transition", "age", "mask")
_COUNTERS = ("head", "episode_length", "max_priority", "terminations_seen")


class Replay:
    """A ring of at most `buffer_size` slots that takes memory as it fills.

    Positions count all that was ever stored; position p lies in slot p % buffer_size. A slot may
    start a window (is in the tree) once `horizon` further frames of its episode are stored, or
    when its episode terminates. The last starts of a truncated episode never are eligible, so
    that no bootstrap crosses a time limit. A slot whose stack needs a frame that is overwritten
    is eligible no longer.
    """

    def __init__(
        self,
        h: Hyperparameters,
        form: ObservationForm,
        action_dim: int,
        rng: np.random.Generator,
        device: torch.device,
        *,
        masked: bool = False,
    ) -> None:
        self.h = h
        self.form = form
        self.rng = rng
        self.device = device
        self.masked = masked
        self.head = 0  # the position to be written next
        self.episode_length = 0
        self.max_priority = 1.0
        self.terminations_seen = False
        self.frame: NDArray[Any] = np.zeros((0, *form.frame_shape), form.dtype)
        self.action: Floats = np.zeros((0, action_dim), np.float32)
        self.reward: Floats = np.zeros(0, np.float32)
        self.terminated = np.zeros(0, np.bool_)
        self.transition = np.zeros(0, np.bool_)
        # How many frames before this one are of its episode, up to history - 1.
        self.age = np.zeros(0, np.uint8)
        self.mask: Mask = np.zeros((0, action_dim if masked else 0), np.bool_)
        # To the power of alpha; the tree has it only while the slot is eligible.
        self.priority = np.zeros(0, np.float64)
        self.tree = SumTree(1)
        self._allocate(1)

    @property
    def size(self) -> int:
        return min(self.head, self.h.buffer_size)

    @property
    def cursor(self) -> int:
        return self.head % self.h.buffer_size

    @property
    def slots(self) -> int:
        return len(self.reward)

    @property
    def has_eligible(self) -> bool:
        return self.tree.total > 0

    def seen(self) -> tuple[Floats, Floats] | None:
        """The least and the largest of each number of an input, (D,) each, over all frames in
        here; None of pixels, which have all values, and before the first frame."""
        if self.form.kind == "pixels" or not self.size:
            return None
        frames = self.frame[: self.size]
        low, high = frames.min(axis=0), frames.max(axis=0)
        return np.tile(low, self.form.history), np.tile(high, self.form.history)

    @property
    def nbytes(self) -> int:
        columns: list[NDArray[Any]] = [getattr(self, name) for name in COLUMNS]
        return sum(array.nbytes for array in (*columns, self.priority, self.tree.leaves))

    def add(
        self,
        frame: NDArray[Any],
        action: Floats,
        reward: float,
        next_frame: NDArray[Any],
        *,
        terminated: bool,
        truncated: bool,
        mask: Mask | None = None,
        next_mask: Mask | None = None,
    ) -> None:
        """A mask (A) says which choices are legal; none, that all are."""
        slot = self._store(frame, mask)
        self.action[slot] = action
        self.reward[slot] = reward
        self.terminated[slot] = terminated
        self.transition[slot] = True
        self.priority[slot] = self.max_priority
        self.terminations_seen |= terminated
        horizon = self.h.horizon
        if self.episode_length >= horizon:
            self._make_eligible(slot, np.array([horizon]))
        self.episode_length += 1
        if terminated:
            self._make_eligible(slot, np.arange(min(self.episode_length, horizon)))
        if terminated or truncated:
            self.cut_episode(next_frame, next_mask)

    def cut_episode(self, final_frame: NDArray[Any], final_mask: Mask | None = None) -> None:
        """A truncation after the last transition that was added."""
        slot = self._store(final_frame, final_mask)
        self.action[slot] = 0.0
        self.reward[slot] = 0.0
        self.terminated[slot] = False
        self.transition[slot] = False
        self.priority[slot] = 0.0
        self.episode_length = 0

    def sample_encoder(self) -> EncoderBatch:
        slots = self.tree.sample(self.rng, self.h.batch_size)
        steps = np.arange(self.h.enc_horizon)
        states = self._states(slots, np.arange(self.h.enc_horizon + 1))
        windows = slots[:, None] + steps
        return EncoderBatch(
            state=states[:, 0],
            action=take(self.action, windows, self.device),
            next_state=states[:, 1:],
            reward=take(self.reward, windows, self.device),
            terminated=take(self.terminated, windows, self.device),
            terminations_seen=self.terminations_seen,
        )

    def sample_value(self) -> tuple[NDArray[np.int64], ValueBatch]:
        """The batch, and its slots for `update_priorities`."""
        slots = self.tree.sample(self.rng, self.h.batch_size)
        windows = slots[:, None] + np.arange(self.h.q_horizon)
        states = self._states(slots, np.array([0, self.h.q_horizon]))
        return slots, ValueBatch(
            state=states[:, 0],
            action=take(self.action, slots, self.device),
            next_state=states[:, 1],
            reward=take(self.reward, windows, self.device),
            terminated=take(self.terminated, windows, self.device),
            mask=self._masks(slots),
            next_mask=self._masks(slots + self.h.q_horizon),
        )

    def update_priorities(
        self, slots: NDArray[np.int64], priorities: NDArray[np.floating[Any]]
    ) -> None:
        if not self.h.prioritized:
            return  # all stay at the 1 that they came with
        self.priority[slots] = priorities
        # Read back, so that a slot drawn twice has one priority in both places.
        self.tree.set(slots, self.priority[slots])
        self.max_priority = max(self.max_priority, float(priorities.max()))

    def reset_max_priority(self) -> None:
        self.max_priority = float(self.tree.leaves.max())

    def mean_abs_reward(self) -> float:
        """Over transitions only: the slots at the episodes' ends have no reward."""
        transitions = np.count_nonzero(self.transition[: self.size])
        return float(np.abs(self.reward[: self.size]).sum(dtype=np.float64) / transitions)

    def rows(self, positions: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Copies of what lies at these positions, by column."""
        slots = positions % self.h.buffer_size
        return {name: getattr(self, name)[slots] for name in COLUMNS}

    def counters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COUNTERS}

    def restore(
        self,
        counters: Mapping[str, Any],
        rows: Iterable[tuple[NDArray[np.int64], Arrays]],
        priority: NDArray[np.float64],
        eligible: NDArray[np.bool_],
    ) -> None:
        """`rows` are pairs as given to and got from the method of that name and together cover all
        that is stored; the other two are by slot. ValueError for an array of another form."""
        for name in _COUNTERS:
            setattr(self, name, counters[name])
        self._allocate(max(1, self.size))
        for positions, arrays in rows:
            slots = positions % self.h.buffer_size
            for name in COLUMNS:
                column = getattr(self, name)
                column[slots] = _of_form(name, arrays[name], column, len(slots))
        self.priority[: self.size] = _of_form("priority", priority, self.priority, self.size)
        eligible = _of_form("eligible", eligible, self.terminated, self.size)
        self.tree.fill(np.where(eligible, priority, 0.0))  # a leaf is the priority or nothing

    def _store(self, frame: NDArray[Any], mask: Mask | None) -> int:
        assert frame.dtype == self.frame.dtype
        slot = self.cursor
        if slot >= self.slots:
            self._allocate(slot + 1)
        if self.head >= self.h.buffer_size:
            self._forget(slot)
        self.frame[slot] = frame
        self.age[slot] = min(self.episode_length, self.form.history - 1)
        self.mask[slot] = True if mask is None else mask
        self.head += 1
        return slot

    def _forget(self, slot: int) -> None:
        """Before it is overwritten: it and those whose stacks reach back to it start no window."""
        distance = np.arange(self.form.history)
        slots = (slot + distance) % self.h.buffer_size
        lost = slots[(self.age[slots] >= distance) & (self.tree.leaves[slots] > 0)]
        if len(lost):
            self.tree.set(lost, 0.0)

    def _make_eligible(self, slot: int, steps_before: NDArray[np.int64]) -> None:
        slots = (slot - steps_before) % self.h.buffer_size
        self.tree.set(slots, self.priority[slots])

    def _allocate(self, needed: int) -> None:
        slots = allocated_slots(needed, self.h.buffer_size)
        for name in (*COLUMNS, "priority"):
            old = getattr(self, name)
            # Zeros are finite, but a softmax over nothing legal is not.
            new = (np.ones if name == "mask" else np.zeros)((slots, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        eligible = self.tree.leaves
        self.tree = SumTree(slots)
        self.tree.fill(eligible)

    def _states(self, slots: NDArray[np.int64], offsets: NDArray[np.int64]) -> Tensor:
        history = self.form.history
        return take_stacks(self.frame, self.age, slots, offsets, history, self.device)

    def _masks(self, slots: NDArray[np.int64]) -> Tensor | None:
        return take(self.mask, slots, self.device) if self.masked else None


def _of_form(name: str, array: NDArray[Any], column: NDArray[Any], rows: int) -> NDArray[Any]:
    expected = (rows, *column.shape[1:])
    if (array.shape, array.dtype) != (expected, column.dtype):
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} is {found}, expected {column.dtype} {expected}")
    return array
