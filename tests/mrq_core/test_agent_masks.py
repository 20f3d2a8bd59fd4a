"""What is illegal is neither done nor learned from."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mrq_core.agent import Agent, Noise
from mrq_core.replay import Replay
from tests.mrq_core.agents import CPU, VECTOR, make_agent, no_noise, value_batch
from tests.mrq_core.toys import TINY


def masked_agent() -> Agent:
    """Whose policies, online and target, all but insist on the first of three choices."""
    agent = make_agent(discrete=True)
    with torch.no_grad():
        for policy in (agent.policy, agent.policy_target):
            policy.output.bias.copy_(torch.tensor([1000.0, 0.0, 0.0]))
    return agent


FIRST_FORBIDDEN = torch.tensor([False, True, True]).expand(4, -1)


def test_exploration_keeps_to_the_mask() -> None:
    agent = masked_agent()
    state = torch.zeros(200, 2)

    assert agent.explore(state)[:, 0].mean() > 0.9
    assert agent.explore(state, FIRST_FORBIDDEN[:1].expand(200, -1))[:, 0].sum() == 0


def test_the_bootstrap_keeps_to_the_next_states_mask() -> None:
    agent = masked_agent()
    batch = value_batch(next_mask=FIRST_FORBIDDEN)
    zs = agent.encoder_target.encode_state(batch.next_state)
    values = [
        agent.value_target(
            agent.encoder_target.encode_state_action(zs, torch.eye(3)[choice].expand(4, -1))
        ).amin(1)
        for choice in (1, 2)
    ]

    target_q = agent.update_value(batch, no_noise(agent)).target_q

    allowed = torch.stack(values, 1)
    assert ((target_q[:, None] - allowed).abs().amin(1) < 1e-6).all()


def test_the_policys_loss_keeps_to_the_states_mask() -> None:
    agent = masked_agent()
    zs = torch.randn(4, 8)
    u = agent.policy(zs)
    action = torch.cat([torch.zeros(4, 1), (u[:, 1:] / 10).softmax(-1)], -1)
    q = agent.value(agent.encoder.encode_state_action(zs, action))
    expected = -q.mean() + 1e-5 * u.square().mean()

    loss = agent.update_policy(zs, no_noise(agent), FIRST_FORBIDDEN)

    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_training_passes_each_states_own_mask_on() -> None:
    agent = make_agent(discrete=True)
    replay = Replay(TINY, VECTOR, 3, np.random.default_rng(0), CPU, masked=True)
    rng = np.random.default_rng(1)
    masks = [np.arange(3) != step % 3 for step in range(61)]
    for step in range(60):
        here, there = rng.normal(size=(2, 2)).astype(np.float32)
        action = np.eye(3, dtype=np.float32)[(step + 1) % 3]
        ends = step % 10 == 9
        replay.add(
            here,
            action,
            1.0,
            there,
            terminated=ends,
            truncated=False,
            mask=masks[step],
            next_mask=masks[step + 1],
        )
    seen: list[Tensor | None] = []
    update = agent.update_policy

    def written_down(
        zs: Tensor, noise: Noise, mask: Tensor | None, logged: Tensor | None
    ) -> Tensor:
        seen.append(mask)
        return update(zs, noise, mask, logged)

    sampled = replay.sample_value

    def one_batch() -> Any:
        slots, batch = sampled()
        # The action that was stored is the one after the illegal one.
        assert batch.mask is not None
        assert (batch.mask & batch.action.bool()).any(1).all()
        expected.append(batch.mask)
        return slots, batch

    expected: list[Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "update_policy", written_down)
        patch.setattr(replay, "sample_value", one_batch)
        agent.train(replay)

    assert len(seen) == 1
    assert seen[0] is not None
    assert torch.equal(seen[0], expected[0])
