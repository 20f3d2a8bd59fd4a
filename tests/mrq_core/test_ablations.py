"""The parts that the paper's design study takes away, each as a hyperparameter (its Table 2)."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from mrq_core.agent import Agent, Noise
from mrq_core.events import Finished
from mrq_core.training import train
from tests.mrq_core.agents import encoder_batch, make_agent, no_noise, value_batch
from tests.mrq_core.toys import TINY, tiny_run

ABLATIONS: dict[str, dict[str, Any]] = {
    "1-step return": {"q_horizon": 1},
    "no unroll": {"enc_horizon": 1},
    "mean instead of min": {"min_over_heads": False},
    "no LAP": {"prioritized": False},
    "no reward scaling": {"reward_scaling": False},
    "MSE reward": {"two_hot_reward": False},
}


# Rewards that are not always 1.
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"sutton_barto_reward": True},
    "Pendulum-v1": {},
}


def final_digest(environment_id: str, **changes: Any) -> str:
    run = tiny_run(
        environment_id,
        environment_kwargs=ENVIRONMENTS[environment_id],
        hyperparameters=replace(TINY, **changes),
    )
    (finished,) = (event for event in train(run) if isinstance(event, Finished))
    return finished.weights_sha256


@pytest.mark.parametrize("environment_id", ENVIRONMENTS)
@pytest.mark.parametrize("changes", ABLATIONS.values(), ids=ABLATIONS)
def test_each_trains_and_learns_something_else(
    changes: dict[str, Any], environment_id: str
) -> None:
    assert final_digest(environment_id, **changes) != final_digest(environment_id)


def heads_at_target(agent: Agent) -> torch.Tensor:
    batch = value_batch()
    zs = agent.encoder_target.encode_state(batch.next_state)
    action = agent.policy_target(zs).tanh()
    heads: torch.Tensor = agent.value_target(agent.encoder_target.encode_state_action(zs, action))
    return heads


def test_mean_instead_of_min() -> None:
    agent = make_agent(replace(TINY, min_over_heads=False))
    expected = heads_at_target(agent).mean(1)

    value = agent.update_value(value_batch(), no_noise(agent))

    assert value.target_q.tolist() == pytest.approx(expected.tolist())


def test_without_reward_scaling_both_scales_stay_one() -> None:
    agent = make_agent(replace(TINY, reward_scaling=False))
    agent.update_targets(17.0)

    assert (agent.reward_scale, agent.target_reward_scale) == (1.0, 1.0)


def test_the_reward_as_one_number_by_squared_error() -> None:
    agent = make_agent(replace(TINY, two_hot_reward=False))
    batch = encoder_batch()
    _, _, predicted = agent._unroll(batch.state, batch.action)

    statistics = agent.update_encoder(batch)

    assert predicted.shape == (4, 5, 1)
    expected = (predicted.squeeze(-1) - batch.reward).square().mean(0).sum()
    assert statistics.reward.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_one_step_return() -> None:
    agent = make_agent(replace(TINY, q_horizon=1))
    agent.target_reward_scale = 1.0
    batch = value_batch(reward=torch.full((4, 1), 5.0), terminated=torch.zeros(4, 1).bool())

    value = agent.update_value(batch, Noise(torch.zeros(4, 3), torch.zeros(()), torch.zeros(())))

    expected = 5.0 + 0.99 * value.target_q
    assert value.target.tolist() == pytest.approx(expected.tolist())
