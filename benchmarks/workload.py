"""What is trained on where only speed matters: a replay of made-up episodes of some shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mrq_core.config import Hyperparameters
from mrq_core.observations import ObservationForm, ObservationKind
from mrq_core.replay import Replay

EPISODE_STEPS = 50


@dataclass(frozen=True)
class Workload:
    """`frame_shape` is (D,) or (C, H, W); `slots` how full the replay is, `steps` how
    many make a round of a few seconds."""

    name: str
    frame_shape: tuple[int, ...]
    history: int
    action_dim: int
    discrete: bool
    slots: int
    steps: int = 1

    @property
    def form(self) -> ObservationForm:
        kind: ObservationKind = "pixels" if len(self.frame_shape) == 3 else "vector"
        return ObservationForm(kind, self.frame_shape, self.history)

    @property
    def components(self) -> tuple[int, ...]:
        return (self.action_dim,) if self.discrete else ()


WORKLOADS = {
    workload.name: workload
    for workload in (
        # HalfCheetah's shape.
        Workload("vector", (17,), 1, 6, discrete=False, slots=100_000, steps=60),
        Workload("pixels-42", (1, 42, 42), 4, 3, discrete=True, slots=20_000, steps=15),
        # Atari's shape.
        Workload("pixels-84", (1, 84, 84), 4, 18, discrete=True, slots=10_000, steps=5),
    )
}


def filled_replay(workload: Workload, h: Hyperparameters, seed: int) -> Replay:
    """Noise in episodes of 50 steps; every other one ends with a termination."""
    rng = np.random.default_rng(seed)
    form = workload.form
    replay = Replay(h, form, workload.action_dim, rng, torch.device("cpu"))
    frame, step = _frame(rng, form), 0
    while replay.size < workload.slots:
        step += 1
        ends, episode = step % EPISODE_STEPS == 0, step // EPISODE_STEPS
        following = _frame(rng, form)
        replay.add(
            frame,
            _action(rng, workload),
            float(rng.normal()),
            following,
            terminated=ends and episode % 2 == 0,
            truncated=ends and episode % 2 == 1,
        )
        frame = _frame(rng, form) if ends else following
    return replay


def _frame(rng: np.random.Generator, form: ObservationForm) -> NDArray[np.generic]:
    if form.kind == "pixels":
        return rng.integers(0, 256, form.frame_shape, dtype=np.uint8)
    return rng.standard_normal(form.frame_shape, np.float32)


def _action(rng: np.random.Generator, workload: Workload) -> NDArray[np.float32]:
    if not workload.discrete:
        return rng.uniform(-1, 1, workload.action_dim).astype(np.float32)
    action = np.zeros(workload.action_dim, np.float32)
    action[rng.integers(workload.action_dim)] = 1.0
    return action
