"""The plain step that `make bench` compares with makes the same update as the core."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.plain_step import PlainAgent, PlainReplay, random_shift
from benchmarks.workload import Workload, filled_replay
from mrq_core.agent import Agent
from mrq_core.augmentation import shift
from mrq_core.config import Hyperparameters

H = Hyperparameters(
    zs_dim=16,
    zsa_dim=24,
    za_dim=8,
    encoder_hidden_dim=20,
    value_hidden_dim=28,
    policy_hidden_dim=12,
    batch_size=32,
    target_update_every=3,
    pixel_shift=0,
)
VECTOR = Workload("vector", (5,), 1, 3, discrete=False, slots=600)
PIXELS = Workload("pixels", (1, 42, 42), 3, 4, discrete=True, slots=600)


def agents(workload: Workload) -> tuple[Agent, PlainAgent]:
    """With the same weights, online and target networks apart, and no bias zero."""
    shape, actions = workload.form.input_shape, workload.action_dim
    ours = Agent(H, shape, actions, components=workload.components, seed=1)
    plain = PlainAgent(H, shape, actions, discrete=workload.discrete)
    generator = torch.Generator().manual_seed(2)
    for name, network in ours.networks().items():
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        copy_weights(network, getattr(plain, name))
    ours.reward_scale = plain.reward_scale = 1.7
    ours.target_reward_scale = plain.target_reward_scale = 0.9
    return ours, plain


def copy_weights(ours: nn.Module, plain: nn.Module) -> None:
    given = dict(ours.named_parameters())
    if "output.weight" in given and given["output.weight"].dim() == 3:
        values = [one_head(given[name], head) for head in range(2) for name in given]
    else:
        values = list(given.values())
    if "outcome.weight" in given:  # one linear layer: termination, next zs, reward
        *values, next_weight, next_bias, weight, bias = values
        values += [torch.cat([weight[:1], next_weight, weight[1:]])]
        values += [torch.cat([bias[:1], next_bias, bias[1:]])]
    with torch.no_grad():
        for parameter, value in zip(plain.parameters(), values, strict=True):
            parameter.copy_(value)


def one_head(parameter: Tensor, head: int) -> Tensor:
    """Ours are (HEADS, n, m) and (HEADS, 1, m)."""
    part = parameter[head].T
    return part if part.shape[1] > 1 or parameter.shape[1] > 1 else part[:, 0]


@pytest.mark.parametrize("workload", [VECTOR, PIXELS], ids=lambda workload: workload.name)
def test_the_losses_are_the_cores_update_by_update(workload: Workload) -> None:
    """Three of each kind, so that the optimisers' steps are compared as well."""
    ours, plain = agents(workload)
    replay = filled_replay(workload, H, seed=3)
    for _ in range(3):
        windows = replay.sample_encoder()
        wanted = ours.update_encoder(windows).loss
        torch.testing.assert_close(plain.update_encoder(windows), wanted, rtol=1e-4, atol=1e-5)
    for _ in range(3):
        _, batch = replay.sample_value()
        noise = ours.draw_noise(batch.action.shape)
        statistics = ours.update_value(batch, noise)
        loss, priority = plain.update_value(batch, noise)
        torch.testing.assert_close(loss, statistics.loss, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(priority, statistics.priority, rtol=1e-4, atol=1e-5)
        policy = ours.update_policy(statistics.zs, noise)
        found = plain.update_policy(batch.state, noise)
        torch.testing.assert_close(found, policy, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("workload", [VECTOR, PIXELS], ids=lambda workload: workload.name)
def test_the_replays_hold_the_same_windows(workload: Workload) -> None:
    replay = filled_replay(workload, H, seed=3)
    plain = PlainReplay(replay)
    slots, batch = replay.sample_value()
    drawn = torch.from_numpy(slots)
    torch.testing.assert_close(plain.stack(drawn), batch.state.float())
    torch.testing.assert_close(plain.stack(drawn + H.q_horizon), batch.next_state.float())
    assert plain.eligible[plain.sample_slots()].all()


def test_sampling_an_image_bilinearly_at_whole_pixels_is_a_crop() -> None:
    images = torch.randint(0, 256, (16, 2, 42, 31)).float()
    torch.manual_seed(0)
    xy = torch.randint(0, 9, (16, 2))
    torch.manual_seed(0)
    found = random_shift(images, 4)
    torch.testing.assert_close(found, shift(images, xy, 4), rtol=1e-4, atol=1e-2)
    assert not np.allclose(found, images)
