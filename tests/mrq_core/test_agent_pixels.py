"""Training on images, and windows of one transition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mrq_core.agent import Agent
from mrq_core.config import Hyperparameters
from mrq_core.observations import ObservationForm
from mrq_core.replay import Replay
from tests.mrq_core.agents import (
    CPU,
    filled_replay,
)
from tests.mrq_core.toys import TINY


def pixel_replay(h: Hyperparameters) -> Replay:
    replay = Replay(h, ObservationForm("pixels", (1, 31, 31), 2), 3, np.random.default_rng(0), CPU)
    rng = np.random.default_rng(1)
    for step in range(60):
        here, there = rng.integers(0, 256, (2, 1, 31, 31)).astype(np.uint8)
        action = np.eye(3, dtype=np.float32)[step % 3]
        replay.add(here, action, 1.0, there, terminated=step % 10 == 9, truncated=False)
    return replay


def test_images_are_shifted_for_every_update_and_each_by_its_own_draw() -> None:
    agent = Agent(TINY, (2, 31, 31), 3, components=(3,), seed=0)
    seen: list[torch.Size] = []
    draw = agent.augment

    def written_down(state: Tensor, generator: torch.Generator) -> Tensor:
        shifted = draw(state, generator)
        assert not torch.equal(shifted, state)
        seen.append(state.shape)
        return shifted

    agent.augment = written_down
    agent.train(pixel_replay(TINY))

    encoder = [torch.Size([8, 2, 31, 31]), torch.Size([8, 5, 2, 31, 31])]
    value = [torch.Size([8, 2, 31, 31])] * 2
    # Only what is used: of the encoder's states the first, of the next states all.
    assert seen == [*encoder * TINY.target_update_every, *value]


def test_without_a_shift_the_images_come_as_they_are() -> None:
    h = replace(TINY, pixel_shift=0)
    agent = Agent(h, (2, 31, 31), 3, components=(3,), seed=0)
    state = pixel_replay(h).sample_encoder().state

    assert agent.augment(state, agent.generator) is state


@pytest.mark.parametrize("shape", [(2,), (2, 31, 31)])
def test_b16_a_horizon_of_one_keeps_its_axis(shape: tuple[int, ...]) -> None:
    h = replace(TINY, enc_horizon=1, q_horizon=1)
    agent = Agent(h, shape, 3, components=(3,), seed=0)
    replay = filled_replay(h) if shape == (2,) else pixel_replay(h)
    assert replay.sample_encoder().next_state.shape == (8, 1, *shape)

    _, policy_loss, value = agent.train(replay)

    assert torch.isfinite(torch.stack([policy_loss, value.loss])).all()
