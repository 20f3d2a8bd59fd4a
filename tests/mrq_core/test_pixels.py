"""The convolutional state encoder. Its numbers are compared with the reference's in parity."""

import pytest
import torch

from mrq_core.agent import Agent
from mrq_core.config import PRESETS, SMALLEST_SIDE, convolved, parameter_count
from mrq_core.networks import Convolution, PixelEncoder, initialise
from tests.mrq_core.toys import TINY


@pytest.mark.parametrize(("side", "left"), [(84, 7), (48, 3), (42, 2), (31, 1), (210, 23)])
def test_what_the_convolutions_leave_of_a_side(side: int, left: int) -> None:
    assert convolved(side) == left


@pytest.mark.parametrize("shape", [(1, 84, 84), (3, 42, 42), (9, 31, 50), (12, 96, 33)])
def test_any_rectangle_of_any_depth_is_encoded(shape: tuple[int, int, int]) -> None:
    agent = Agent(TINY, shape, 3, seed=0)
    images = torch.randint(0, 256, (2, 5, *shape), dtype=torch.uint8)

    assert agent.encoder.encode_state(images).shape == (2, 5, TINY.zs_dim)


def test_nothing_would_be_left_of_a_smaller_side() -> None:
    assert convolved(SMALLEST_SIDE) == 1
    assert convolved(SMALLEST_SIDE - 1) == 0


@pytest.mark.parametrize("shape", [(4, 84, 84), (2, 42, 50)])
def test_the_parameter_count_is_the_agents(shape: tuple[int, int, int]) -> None:
    h = PRESETS["small"]
    agent = Agent(h, shape, 3, components=(3,), seed=0)
    online = (agent.encoder, agent.value, agent.policy)

    counted = sum(p.numel() for network in online for p in network.parameters())
    assert parameter_count(h, shape, 3) == counted


def test_the_sizes_are_those_counted_in_the_specification() -> None:
    atari = parameter_count(PRESETS["paper"], (4, 84, 84), 18)
    visual = parameter_count(PRESETS["paper"], (9, 84, 84), 6)

    assert (round(atari / 1e6, 3), round(visual / 1e6, 3)) == (4.164, 4.156)


def test_black_and_white_are_minus_and_plus_a_half() -> None:
    encoder = PixelEncoder(TINY, 1, 31, 31)
    initialise(encoder, torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []
    first = encoder.convolutions[0]
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    encoder(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 31, 31))

    assert seen[0][:, 0, 0, 0].tolist() == [-0.5, 0.5]


def test_convolutions_start_xavier_uniform_too() -> None:
    encoder = PixelEncoder(TINY, 4, 84, 84)
    initialise(encoder, torch.Generator().manual_seed(0))

    for layer, channels in zip(encoder.convolutions, (4, 32, 32, 32), strict=True):
        assert isinstance(layer, Convolution)
        assert layer.bias is not None
        assert not layer.bias.any()
        limit = (2 * 6 / (9 * (channels + 32))) ** 0.5
        assert 0.97 * limit < layer.weight.abs().max().item() <= limit
