"""Replays to fill, and a plain list of episodes that says what they must hold and hand out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mrq_core.observations import ObservationForm
from mrq_core.replay import Mask, Replay
from tests.mrq_core.toys import TINY

VECTOR = ObservationForm("vector", (1,), 1)
CPU = torch.device("cpu")
CHOICES = 3


def make_replay(
    form: ObservationForm = VECTOR, action_dim: int = 1, *, masked: bool = False, **changes: Any
) -> Replay:
    """TINY's horizons (5 and 3), and windows enough that every eligible slot is likely drawn."""
    h = replace(TINY, **{"buffer_size": 100, "batch_size": 200} | changes)
    return Replay(h, form, action_dim, np.random.default_rng(0), CPU, masked=masked)


def add(
    replay: Replay,
    number: float,
    *,
    terminated: bool = False,
    truncated: bool = False,
    reward: float | None = None,
) -> None:
    """A transition from frame `number` to `number` + 1; its action is `number` too."""
    here, there = (
        np.full(replay.form.frame_shape, n, replay.form.dtype) for n in (number, number + 1)
    )
    action = np.full(1, number, np.float32)
    reward = number if reward is None else reward
    replay.add(here, action, reward, there, terminated=terminated, truncated=truncated)


def add_episode(
    replay: Replay, first: float, length: int, *, terminated: bool = False, truncated: bool = False
) -> None:
    for i in range(length):
        ends = i == length - 1
        add(replay, first + i, terminated=terminated and ends, truncated=truncated and ends)


def eligible(replay: Replay) -> list[int]:
    """The slots that may start a window."""
    return np.flatnonzero(replay.tree.leaves).tolist()


@dataclass
class Story:
    """One episode as it happened. `frames` has one more than `actions` once it has ended."""

    start: int  # the position of its first frame
    frames: list[NDArray[Any]] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    actions: list[NDArray[np.float32]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False

    def see(self, frame: NDArray[Any], mask: Mask) -> None:
        self.frames.append(frame)
        self.masks.append(mask)

    def stack(self, k: int, form: ObservationForm) -> NDArray[Any]:
        """What the network sees at step k."""
        frames = [self.frames[max(0, k - back)] for back in reversed(range(form.history))]
        return np.concatenate(frames)


class Life:
    """A random trajectory, put into a replay and kept as plain episodes beside it."""

    def __init__(self, replay: Replay, seed: int) -> None:
        self.replay = replay
        self.rng = np.random.default_rng(seed)
        self.stories = [Story(0)]
        self.here = self._place()

    def step(self) -> None:
        """Ends an episode one time in eight, in one of four ways."""
        story, rng = self.stories[-1], self.rng
        (frame, mask), (next_frame, next_mask) = self.here, self._place()
        action = rng.random(size=(self.replay.action.shape[1],), dtype=np.float32)
        reward = float(rng.random(dtype=np.float32))
        end = rng.choice(["", "terminated", "truncated", "both", "cut"], p=[7 / 8, *[1 / 32] * 4])
        terminated, truncated = end in ("terminated", "both"), end in ("truncated", "both")
        ends: dict[str, Any] = {"terminated": terminated, "truncated": truncated}
        masks: dict[str, Any] = {"mask": mask, "next_mask": next_mask} if self.replay.masked else {}
        self.replay.add(frame, action, reward, next_frame, **ends, **masks)
        story.see(frame, mask)
        story.actions.append(action)
        story.rewards.append(reward)
        story.terminated = terminated
        if end == "cut":
            self.replay.cut_episode(next_frame, masks.get("next_mask"))
        if end:
            story.see(next_frame, next_mask)
            self.stories.append(Story(story.start + len(story.frames)))
        self.here = self._place() if end else (next_frame, next_mask)

    def _place(self) -> tuple[NDArray[Any], Mask]:
        """Frames of several random bytes: no two are alike, so a wrong one is never overlooked."""
        form = self.replay.form
        frame = self.rng.integers(0, 256, form.frame_shape).astype(form.dtype)
        return frame, np.less(self.rng.random(self.replay.action.shape[1]), 0.5)

    def eligible(self) -> dict[int, tuple[Story, int]]:
        """The slots that may start a window, and which step of which episode is there."""
        h, history = self.replay.h, self.replay.form.history
        last = self.stories[-1]
        oldest = last.start + len(last.frames) - h.buffer_size
        self.stories = [s for s in self.stories if s.start + len(s.frames) > oldest or s is last]
        starts = {}
        for story in self.stories:
            for k in range(len(story.actions)):
                far_enough = k + h.horizon < len(story.actions)
                first_needed = story.start + max(0, k - (history - 1))
                if (story.terminated or far_enough) and first_needed >= oldest:
                    starts[(story.start + k) % h.buffer_size] = (story, k)
        return starts

    def check_encoder(self) -> None:
        """Every window of a batch, up to and including its termination."""
        replay, form = self.replay, self.replay.form
        known = {s.stack(k, form).tobytes(): (s, k) for s, k in self.eligible().values()}
        assert len(known) == len(self.eligible()), "two stacks of this trajectory are alike"
        batch = replay.sample_encoder()
        for b in range(len(batch.state)):
            story, k = known[batch.state[b].numpy().tobytes()]
            for j in range(replay.h.enc_horizon):
                ends = story.terminated and k + j == len(story.actions) - 1
                expected = story.stack(k + j + 1, form)
                assert np.array_equal(batch.next_state[b, j].numpy(), expected)
                assert np.array_equal(batch.action[b, j].numpy(), story.actions[k + j])
                assert batch.reward[b, j].item() == story.rewards[k + j]
                assert batch.terminated[b, j].item() == ends
                if ends:
                    break
            assert torch.isfinite(batch.next_state[b].float()).all()

    def check_value(self) -> None:
        replay, form, q_horizon = self.replay, self.replay.form, self.replay.h.q_horizon
        starts = self.eligible()
        slots, batch = replay.sample_value()
        for b, slot in enumerate(slots):
            story, k = starts[int(slot)]
            n = min(q_horizon, len(story.actions) - k)
            assert np.array_equal(batch.state[b].numpy(), story.stack(k, form))
            assert np.array_equal(batch.action[b].numpy(), story.actions[k])
            assert batch.reward[b, :n].tolist() == story.rewards[k : k + n]
            ends = [story.terminated and i == len(story.actions) - 1 for i in range(k, k + n)]
            assert batch.terminated[b, :n].tolist() == ends
            arrives = k + q_horizon < len(story.frames)
            if arrives:
                expected = story.stack(k + q_horizon, form)
                assert np.array_equal(batch.next_state[b].numpy(), expected)
            else:
                assert True in ends
            if batch.mask is not None:
                assert batch.next_mask is not None
                assert batch.mask[b].tolist() == story.masks[k].tolist()
                if arrives:
                    assert batch.next_mask[b].tolist() == story.masks[k + q_horizon].tolist()
