from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mrq_core.agent import Agent, Noise, before_termination
from mrq_core.config import Hyperparameters
from mrq_core.digest import weights_sha256
from mrq_core.networks import HeadsLinear, Linear
from mrq_core.progress import unheard
from mrq_core.replay import EncoderBatch, ValueBatch
from tests.mrq_core.agents import (
    encoder_batch,
    filled_replay,
    make_agent,
    no_noise,
    value_batch,
)
from tests.mrq_core.toys import TINY


def test_weights_start_xavier_uniform_and_biases_at_zero() -> None:
    agent = make_agent(replace(TINY, encoder_hidden_dim=64, value_hidden_dim=64))
    for name, network in agent.networks().items():
        for layer in network.modules():
            if isinstance(layer, (Linear, HeadsLinear)):
                assert not layer.bias.any()
                fan_in, fan_out = layer.weight.shape[-2:]
                if layer in (agent.encoder.next_zs, agent.encoder.outcome):
                    fan_in, fan_out = 8, 1 + 8 + 65
                if "target" in name:
                    continue
                limit = (2 * 6 / (fan_in + fan_out)) ** 0.5
                assert layer.weight.abs().max().item() <= limit
                if layer.weight.numel() > 500:
                    assert layer.weight.abs().max().item() > 0.97 * limit


def test_making_an_agent_leaves_the_global_generators_alone() -> None:
    def numpy_state() -> list[int]:
        state = np.random.get_state(legacy=False)["state"]
        return [*state["key"].tolist(), state["pos"]]

    before = torch.get_rng_state(), numpy_state()
    agent = make_agent()
    agent.train(filled_replay())

    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == numpy_state()


def test_before_termination_includes_the_terminating_step() -> None:
    terminated = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1]], dtype=torch.bool)

    expected = [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert before_termination(terminated).int().tolist() == expected


def test_nothing_after_a_termination_reaches_the_encoder() -> None:
    terminated = torch.zeros(4, 5, dtype=torch.bool)
    terminated[:, 1] = True
    spoiled = encoder_batch(terminated=terminated, terminations_seen=True)
    for part in (spoiled.next_state, spoiled.reward):
        part[:, 2:] = 1e6
    clean = encoder_batch(terminated=terminated, terminations_seen=True)
    digests, losses = [], []
    for batch in (clean, spoiled):
        agent = make_agent()
        losses.append(agent.update_encoder(batch).loss.item())
        digests.append(weights_sha256(agent))

    assert losses[0] == losses[1]
    assert digests[0] == digests[1]


def test_the_terminal_loss_is_off_until_a_termination_was_seen() -> None:
    off = make_agent().update_encoder(encoder_batch())
    on = make_agent().update_encoder(encoder_batch(terminations_seen=True))

    assert off.terminal.item() > 0
    assert on.loss.item() - off.loss.item() == pytest.approx(0.1 * on.terminal.item(), rel=1e-5)


def test_the_encoder_sums_over_steps_and_averages_over_the_batch() -> None:
    once = make_agent().update_encoder(encoder_batch())
    tensors = {k: v for k, v in vars(encoder_batch()).items() if isinstance(v, Tensor)}
    twice = encoder_batch(**{name: torch.cat([part, part]) for name, part in tensors.items()})

    assert make_agent().update_encoder(twice).loss.item() == pytest.approx(once.loss.item())
    expected = once.dynamics + 0.1 * once.reward
    assert once.loss.item() == pytest.approx(expected.item())


def test_the_value_target_by_hand() -> None:
    agent = make_agent()
    agent.reward_scale, agent.target_reward_scale = 2.0, 0.5
    terminated = torch.zeros(4, 3, dtype=torch.bool)
    terminated[1, 2] = terminated[2, 0] = True
    reward = torch.tensor([[1.0, 2, 4]] * 4)
    batch = value_batch(reward=reward, terminated=terminated)

    statistics = agent.update_value(batch, no_noise(agent))

    full = 1 + 0.99 * 2 + 0.99**2 * 4
    bootstrap = 0.99**3 * 0.5 * statistics.target_q[0].item()
    assert statistics.target.tolist()[:3] == pytest.approx(
        [(full + bootstrap) / 2, full / 2, 1.0 / 2]
    )
    errors = (statistics.q - statistics.target[:, None]).abs().amax(1)
    assert statistics.priority.tolist() == pytest.approx(
        [max(error, 1.0) ** 0.4 for error in errors.tolist()]
    )
    assert agent.h.discount == 0.99


def test_the_bootstrap_is_the_lower_head_at_the_target_policys_noisy_action() -> None:
    agent = make_agent()
    batch = value_batch()
    noise = Noise(torch.full((4, 3), 10.0), torch.zeros(()), torch.zeros(()))  # clipped to .3

    zs = agent.encoder_target.encode_state(batch.next_state)
    action = (agent.policy_target(zs).tanh() + 0.3).clamp(-1, 1)
    heads = agent.value_target(agent.encoder_target.encode_state_action(zs, action))
    statistics = agent.update_value(batch, noise)

    assert statistics.target_q.tolist() == pytest.approx(heads.amin(1).tolist())


def test_the_values_gradient_is_clipped() -> None:
    norms = []
    for clip in (20.0, 1e-3):
        agent = make_agent(replace(TINY, value_grad_clip=clip))
        agent.update_value(value_batch(reward=torch.full((4, 3), 1e3)), no_noise(agent))
        gradients = [p.grad.flatten() for p in agent.value_parameters if p.grad is not None]
        norms.append(torch.cat(gradients).norm().item())

    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


def test_the_policys_update_changes_nothing_but_the_policy() -> None:
    agent = make_agent()
    before = {
        name: [p.clone() for p in network.parameters()]
        for name, network in agent.networks().items()
    }
    agent.update_policy(torch.randn(4, 8), no_noise(agent))

    changed = {
        name
        for name, network in agent.networks().items()
        if any(
            not torch.equal(a, b) for a, b in zip(before[name], network.parameters(), strict=True)
        )
    }
    assert changed == {"policy"}
    assert all(p.grad is None for p in agent.value.parameters())
    assert all(p.grad is None for p in agent.encoder.parameters())


class Diary(Agent):
    """Writes down what is done in which order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries: list[str] = []

    def update_targets(self, mean_abs_reward: float) -> None:
        self.entries.append("targets")
        super().update_targets(mean_abs_reward)

    def update_encoder(self, batch: EncoderBatch) -> Any:
        self.entries.append("encoder")
        return super().update_encoder(batch)

    def update_value(self, batch: ValueBatch, noise: Noise) -> Any:
        self.entries.append("value")
        return super().update_value(batch, noise)

    def update_policy(
        self,
        zs: Tensor,
        noise: Noise,
        mask: Tensor | None = None,
        logged: Tensor | None = None,
    ) -> Tensor:
        self.entries.append("policy")
        return super().update_policy(zs, noise, mask, logged)


def test_the_order_of_a_target_cycle() -> None:
    agent = Diary(TINY, (2,), 3, seed=0)
    replay = filled_replay()
    for _ in range(21):
        agent.train(replay)

    cycle = ["targets", *["encoder"] * 20, *["value", "policy"] * 20]
    assert agent.entries == [*cycle, *cycle[:23]]


def test_the_papers_cycle_is_250_steps() -> None:
    assert Hyperparameters().target_update_every == 250


def test_targets_are_copied_before_the_encoders_burst() -> None:
    agent = make_agent()
    replay = filled_replay()
    agent.train(replay)
    first = [p.clone() for p in agent.encoder.parameters()]
    value = None
    for _ in range(19):
        agent.train(replay)
    value = [p.clone() for p in agent.value.parameters()]
    agent.train(replay)  # the second cycle begins

    targets = list(agent.encoder_target.parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, targets, strict=True))
    assert all(
        torch.equal(a, b) for a, b in zip(value, agent.value_target.parameters(), strict=True)
    )
    online = list(agent.encoder.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(online, targets, strict=True))


def test_reward_scales_follow_each_other() -> None:
    agent = make_agent()
    scales = []
    for mean in (0.5, 3.0):
        agent.update_targets(mean)
        scales.append((agent.reward_scale, agent.target_reward_scale))

    assert scales == [(0.5, 1.0), (3.0, 0.5)]


@pytest.mark.parametrize(("guard", "scale"), [(True, 1.0), (False, 1e-8)])
def test_without_any_reward_the_scale_stays_one_if_guarded(guard: bool, scale: float) -> None:
    h = replace(TINY, zero_reward_guard=guard)
    agent = make_agent(h)
    _, _, value = agent.train(filled_replay(h, reward=0.0))

    assert agent.reward_scale == scale
    assert (value.target.abs().max().item() > 1e4) is (not guard)


def test_the_greatest_priority_is_reset_if_asked() -> None:
    for reset in (False, True):
        h = replace(TINY, reset_max_priority=reset)
        replay = filled_replay(h)
        replay.max_priority = 50.0
        make_agent(h).train(replay)
        assert (replay.max_priority == 50.0) is (not reset)


def test_training_writes_priorities_and_only_the_values() -> None:
    replay = filled_replay()
    agent = make_agent()
    before = replay.tree.leaves.copy()
    agent._train_encoder(replay, unheard)
    assert replay.tree.leaves.tolist() == before.tolist()

    replay.update_priorities(np.arange(5), np.full(5, 9.0))
    agent.train(replay)
    assert (replay.tree.leaves[:5] < 9.0).any()


def test_exploration_of_continuous_actions_is_noise_around_the_policy() -> None:
    agent = make_agent()
    observation = torch.randn(1, 2).expand(4000, 2)
    with torch.no_grad():
        centre = agent.policy(agent.encoder.encode_state(observation[:1])).tanh()
        agent.policy.output.weight.mul_(0.01)
        centre = agent.policy(agent.encoder.encode_state(observation[:1])).tanh()
    actions = agent.explore(observation)

    assert actions.mean(0).tolist() == pytest.approx(centre[0].tolist(), abs=0.02)
    assert actions.std(0).tolist() == pytest.approx([0.2] * 3, abs=0.02)
    loud = make_agent(replace(TINY, exploration_noise=2.0))
    assert loud.explore(observation).abs().max().item() == 1.0


def test_exploration_of_discrete_actions_is_one_hot_and_reaches_all() -> None:
    agent = make_agent(discrete=True)
    actions = agent.explore(torch.zeros(500, 2))

    assert actions.sum(1).tolist() == [1.0] * 500
    assert set(actions.flatten().tolist()) == {0.0, 1.0}
    assert (actions.sum(0) > 50).all()


def test_exploration_noise_is_halved_for_one_hots(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent(discrete=True)
    seen: list[Tensor] = []
    complete = agent.head.complete

    def written_down(action: Tensor, mask: Tensor | None) -> Tensor:
        seen.append(action)
        return complete(action, mask)

    monkeypatch.setattr(agent.head, "complete", written_down)
    agent.explore(torch.zeros(20_000, 2))

    # A soft sample sums to 1, so what is left over is three draws of noise: .2 / 2 each.
    assert (seen[0].sum(1) - 1).std().item() == pytest.approx(0.1 * 3**0.5, rel=0.02)


def test_discrete_noise_is_halved() -> None:
    noise = torch.zeros(1, 3)
    # Halved, the greatest target noise (.15) cannot turn a margin of .2; unhalved (.3) it could.
    agent = make_agent(discrete=True)
    action = torch.tensor([[0.5, 0.3, 0.2]])
    noise[0, 1] = 100.0
    limit = agent.h.target_noise_clip * agent.head.noise_scale
    assert agent.head.complete(action + noise.clamp(-limit, limit), None).tolist() == [[1, 0, 0]]


@pytest.fixture
def _no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a run on the CPU asked for CUDA")

    for name in ("is_available", "mem_get_info", "synchronize", "manual_seed_all", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, forbidden)


@pytest.mark.usefixtures("_no_cuda")
def test_a_run_on_the_cpu_never_calls_cuda() -> None:
    agent = make_agent()
    agent.train(filled_replay())
    agent.explore(torch.zeros(1, 2))


def test_a5_the_policy_is_trained_through_the_soft_sample() -> None:
    agent = make_agent(discrete=True)
    zs, gumbel = torch.randn(4, 8), torch.randn(4, 3)
    u = agent.policy(zs)
    soft = ((u + gumbel) / 10.0).softmax(-1)
    q = agent.value(agent.encoder.encode_state_action(zs, soft))
    expected = -q.mean() + 1e-5 * u.square().mean()

    loss = agent.update_policy(zs, Noise(torch.zeros(4, 3), torch.zeros(4, 3), gumbel))

    assert loss.item() == pytest.approx(expected.item())


def test_a7_the_online_value_is_not_rescaled_when_the_reward_scale_changes() -> None:
    agent = make_agent()
    before = [parameter.clone() for parameter in agent.value.parameters()]
    agent.update_targets(50.0)

    assert agent.reward_scale == 50.0
    assert all(map(torch.equal, before, agent.value.parameters()))


def test_a15_weight_decay_is_on_everything_and_the_norms_have_no_parameters() -> None:
    agent = make_agent()
    for name, optimizer in agent.optimizers().items():
        (group,) = optimizer.param_groups
        assert group["weight_decay"] == 1e-4
        parameters = list(agent.networks()[name].parameters())
        assert len(group["params"]) == len(parameters)
    names = {key.rsplit(".", 1)[1] for n in agent.networks().values() for key in n.state_dict()}
    assert names == {"weight", "bias"}
    assert not any("norm" in key for n in agent.networks().values() for key in n.state_dict())
