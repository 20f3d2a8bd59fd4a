"""Small agents with filled replays, and batches of known numbers."""

from typing import Any

import numpy as np
import torch

from mrq_core.agent import Agent, Noise
from mrq_core.config import Hyperparameters
from mrq_core.observations import ObservationForm
from mrq_core.replay import EncoderBatch, Replay, ValueBatch
from tests.mrq_core.toys import TINY

CPU = torch.device("cpu")
VECTOR = ObservationForm("vector", (2,), 1)


def make_agent(h: Hyperparameters = TINY, *, discrete: bool = False) -> Agent:
    return Agent(h, (2,), 3, components=(3,) if discrete else (), seed=0)


def filled_replay(h: Hyperparameters = TINY, *, reward: float = 1.0) -> Replay:
    replay = Replay(h, VECTOR, 3, np.random.default_rng(0), CPU)
    rng = np.random.default_rng(1)
    for step in range(60):
        here, there = rng.normal(size=(2, 2)).astype(np.float32)
        action = np.eye(3, dtype=np.float32)[step % 3]
        replay.add(here, action, reward, there, terminated=step % 10 == 9, truncated=False)
    return replay


def encoder_batch(**changes: Any) -> EncoderBatch:
    random = torch.Generator().manual_seed(3)
    parts: dict[str, Any] = {
        "state": torch.randn(4, 2, generator=random),
        "action": torch.randn(4, 5, 3, generator=random),
        "next_state": torch.randn(4, 5, 2, generator=random),
        "reward": torch.randn(4, 5, generator=random),
        "terminated": torch.zeros(4, 5, dtype=torch.bool),
        "terminations_seen": False,
    }
    return EncoderBatch(**(parts | changes))


def value_batch(**changes: Any) -> ValueBatch:
    random = torch.Generator().manual_seed(4)
    parts: dict[str, Any] = {
        "state": torch.randn(4, 2, generator=random),
        "action": torch.randn(4, 3, generator=random),
        "next_state": torch.randn(4, 2, generator=random),
        "reward": torch.zeros(4, 3),
        "terminated": torch.zeros(4, 3, dtype=torch.bool),
        "mask": None,
        "next_mask": None,
    }
    return ValueBatch(**(parts | changes))


def no_noise(agent: Agent, rows: int = 4) -> Noise:
    zeros = torch.zeros(rows, 3)
    return Noise(zeros, zeros, zeros)
