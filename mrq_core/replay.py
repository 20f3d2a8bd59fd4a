"""What the agent has lived through, and windows of it drawn by priority (section 4.2.2, LAP).

Every slot holds an observation and what was done there. An episode of n steps takes n + 1 slots:
the last holds its final observation, is no transition and never starts a window. So the next
observation of a slot is always the next slot's, also at an episode's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrq_core.config import Hyperparameters, allocated_slots
from mrq_core.spaces import Floats
from mrq_core.sum_tree import SumTree


@dataclass(frozen=True)
class EncoderBatch:
    """B windows of H = enc_horizon transitions; what follows a termination is to be ignored."""

    state: Tensor  # (B, D), the first
    action: Tensor  # (B, H, A)
    next_state: Tensor  # (B, H, D)
    reward: Tensor  # (B, H)
    terminated: Tensor  # (B, H) bool
    # Whether the environment ever terminated: until then that loss is off.
    terminations_seen: bool


@dataclass(frozen=True)
class ValueBatch:
    """B windows of H = q_horizon transitions, of which only the ends are needed."""

    state: Tensor  # (B, D)
    action: Tensor  # (B, A)
    next_state: Tensor  # (B, D), after H transitions
    reward: Tensor  # (B, H)
    terminated: Tensor  # (B, H) bool


# Saved and restored as they stand, in this order.
_ARRAYS = ("observation", "action", "reward", "terminated", "transition", "priority")
_COUNTERS = ("size", "cursor", "episode_length", "max_priority", "terminations_seen")


class Replay:
    """A ring of at most `buffer_size` slots that takes memory as it fills.

    A slot may start a window (is in the tree) once `horizon` further observations of its episode
    are stored, or when its episode terminates. The last starts of a truncated episode never are
    eligible, so that no bootstrap crosses a time limit.
    """

    def __init__(
        self,
        h: Hyperparameters,
        observation_dim: int,
        action_dim: int,
        rng: np.random.Generator,
        device: torch.device,
    ) -> None:
        self.h = h
        self.rng = rng
        self.device = device
        self.size = 0
        self.cursor = 0
        self.episode_length = 0
        self.max_priority = 1.0
        self.terminations_seen = False
        self.observation: Floats = np.zeros((0, observation_dim), np.float32)
        self.action: Floats = np.zeros((0, action_dim), np.float32)
        self.reward: Floats = np.zeros(0, np.float32)
        self.terminated = np.zeros(0, np.bool_)
        self.transition = np.zeros(0, np.bool_)
        # To the power of alpha; the tree has it only while the slot is eligible.
        self.priority = np.zeros(0, np.float64)
        self.tree = SumTree(1)
        self._allocate(1)

    @property
    def slots(self) -> int:
        return len(self.reward)

    @property
    def has_eligible(self) -> bool:
        return self.tree.total > 0

    @property
    def nbytes(self) -> int:
        arrays: list[NDArray[Any]] = [getattr(self, name) for name in _ARRAYS]
        return sum(array.nbytes for array in arrays) + self.tree.leaves.nbytes

    def add(
        self,
        observation: Floats,
        action: Floats,
        reward: float,
        next_observation: Floats,
        *,
        terminated: bool,
        truncated: bool,
    ) -> None:
        slot = self._store(observation)
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
            self._close_episode(next_observation)

    def cut_episode(self, final_observation: Floats) -> None:
        """A truncation after the last transition that was added."""
        self._close_episode(final_observation)

    def sample_encoder(self) -> EncoderBatch:
        slots = self.tree.sample(self.rng, self.h.batch_size)
        horizon = self.h.enc_horizon
        windows = slots[:, None] + np.arange(horizon + 1)
        states = self._take(self.observation, windows)
        windows = windows[:, :horizon]
        return EncoderBatch(
            state=states[:, 0],
            action=self._take(self.action, windows),
            next_state=states[:, 1:],
            reward=self._take(self.reward, windows),
            terminated=self._take(self.terminated, windows),
            terminations_seen=self.terminations_seen,
        )

    def sample_value(self) -> tuple[NDArray[np.int64], ValueBatch]:
        """The batch, and its slots for `update_priorities`."""
        slots = self.tree.sample(self.rng, self.h.batch_size)
        windows = slots[:, None] + np.arange(self.h.q_horizon)
        return slots, ValueBatch(
            state=self._take(self.observation, slots),
            action=self._take(self.action, slots),
            next_state=self._take(self.observation, slots + self.h.q_horizon),
            reward=self._take(self.reward, windows),
            terminated=self._take(self.terminated, windows),
        )

    def update_priorities(
        self, slots: NDArray[np.int64], priorities: NDArray[np.floating[Any]]
    ) -> None:
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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Views of all that is stored, under the names that `restore` takes."""
        stored = {name: getattr(self, name)[: self.size] for name in _ARRAYS}
        return stored | {"eligible": self.tree.leaves[: self.size]}

    def counters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COUNTERS}

    def restore(self, arrays: Mapping[str, NDArray[Any]], counters: Mapping[str, Any]) -> None:
        for name in _COUNTERS:
            setattr(self, name, counters[name])
        self._allocate(max(1, self.size))
        for name in _ARRAYS:
            getattr(self, name)[: self.size] = arrays[name]
        self.tree.fill(arrays["eligible"])

    def _store(self, observation: Floats) -> int:
        slot = self.cursor
        if slot >= self.slots:
            self._allocate(slot + 1)
        self.observation[slot] = observation
        if self.tree.leaves[slot] > 0:
            self.tree.set(np.array([slot]), 0.0)
        self.cursor = (slot + 1) % self.h.buffer_size
        self.size = max(self.size, slot + 1)
        return slot

    def _close_episode(self, final_observation: Floats) -> None:
        slot = self._store(final_observation)
        self.action[slot] = 0.0
        self.reward[slot] = 0.0
        self.terminated[slot] = False
        self.transition[slot] = False
        self.priority[slot] = 0.0
        self.episode_length = 0

    def _make_eligible(self, slot: int, steps_before: NDArray[np.int64]) -> None:
        slots = (slot - steps_before) % self.h.buffer_size
        self.tree.set(slots, self.priority[slots])

    def _allocate(self, needed: int) -> None:
        slots = allocated_slots(needed, self.h.buffer_size)
        for name in _ARRAYS:
            old = getattr(self, name)
            new = np.zeros((slots, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        eligible = self.tree.leaves
        self.tree = SumTree(slots)
        self.tree.fill(eligible)

    def _take(self, array: NDArray[Any], slots: NDArray[np.int64]) -> Tensor:
        # A window may run past the last slot: around the ring, or, after a termination, into what
        # is not stored yet. The latter is never looked at, but has to be finite.
        return torch.from_numpy(array.take(slots, axis=0, mode="wrap")).to(self.device)
