"""What a policy is worth by a log: by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mrq_core.heads import action_head
from mrq_core.objectives import StayClose
from mrq_core.off_policy.fitted import in_common_units, values_of
from mrq_core.off_policy.importance import importance_weighted
from mrq_core.off_policy.resampling import RESAMPLES, interval, resampled
from tests.mrq_core.fits import fit, runaway


def test_fitted_q_evaluation_by_hand() -> None:
    """Two episodes of two steps: 1 now and 2 after that, half as much worth."""
    here = [[1, -1], [1, 1]] * 2
    there = [[1, 1], [0, 0]] * 2
    values = fit(here, there, [[1, -1]] * 2, [1, 2] * 2).values(np.ones((1, 2)))
    assert values == pytest.approx([2.0], rel=5e-3)


def test_each_resample_is_fitted_anew() -> None:
    """Bandits: the policy takes the first arm in the first episode's start, the second in the
    other's; an episode that is drawn twice counts twice in the fit and in the mean."""
    same = fit([[1], [1], [1]], [[0]] * 3, [[1]] * 3, [0, 0, 3])
    weights = np.array([[1, 1, 1], [2, 0, 1], [3, 0, 0]], np.float64)
    assert same.values(weights) == pytest.approx([1.0, 1.0, 0.0], abs=5e-3)


def test_a_constant_reward_is_worth_its_sum_for_ever() -> None:
    """A constant that is shrunk by a thousandth would be 90.9."""
    rng = np.random.default_rng(0)
    here, there = (np.column_stack([np.ones(100), rng.normal(size=(100, 3))]) for _ in range(2))
    forever = fit(here, there, here[:20], np.ones(100), discount=0.99)
    assert forever.values(np.ones((1, 20))) == pytest.approx([100.0], rel=1e-9)


def test_iterations_that_run_away_are_damped() -> None:
    """The next state's feature is four times this one's, so each iteration multiplies the last;
    their fixed point would be below zero, though nothing is ever lost."""
    here, there = [[1.0, -1.0], [1.0, 1.0]], [[1.0, -4.0], [1.0, 4.0]]
    away = fit(here, there, [[1.0, 1.0]] * 2, [0.0, 1.0], discount=0.9)
    (value,) = away.values(np.ones((1, 2)))
    assert 0 < value < 10


def test_no_value_is_beyond_the_largest_reward_for_ever() -> None:
    here = [[1.0, -1.0], [1.0, 1.0]]
    far = fit(here, np.zeros((2, 2)), [[1.0, 1000.0]] * 2, [0.0, 1.0], discount=0.9)
    assert far.values(np.ones((1, 2))) == pytest.approx([10.0])


def test_values_beyond_any_float_are_no_number() -> None:
    assert np.isnan(runaway(2).values(np.ones((1, 2)))).all()


def test_a_resample_without_a_transition_has_no_value() -> None:
    rows = replace(fit([[1], [1]], [[0]] * 2, [[1]] * 2, [1, 3]), episode=np.array([0, 0]))
    values = rows.values(np.array([[1, 1], [0, 2]], np.float64))
    assert values == pytest.approx([2.0, np.nan], nan_ok=True)


def test_every_refit_is_a_sign_of_life() -> None:
    signs: list[int] = []
    same = fit([[1], [1]], [[0]] * 2, [[1]] * 2, [1, 1])
    values_of([same, same], np.ones((9, 2)), lambda: signs.append(0))
    assert len(signs) == 10, "the first is of both"


def test_common_units_are_of_mean_square_one_and_the_same_for_all() -> None:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(500, 3)) @ np.diag([1, 100, 0.01]) + 5
    one, other = in_common_units(mixed, mixed[:10])
    assert np.square(one).mean(axis=0) == pytest.approx(np.ones(4))
    assert other == pytest.approx(one[:10])


def test_importance_weighting_by_hand() -> None:
    """Two episodes of two steps by a coin; the policy does what the first one did, and of the
    second one the first step. Weights 2, 4 and 2, 0: at first both count alike, then the first
    alone."""
    ratios = np.array([*np.log([2.0, 2.0, 2.0]), -np.inf])
    rewards = np.array([1.0, 10.0, 3.0, 50.0])
    episode, moment = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = importance_weighted(ratios, rewards, episode, moment, 0.5, np.ones((1, 2)))
    assert found is not None
    assert found.values == pytest.approx([2.0 + 5.0])
    assert found.effective_episodes == pytest.approx(1.0)
    never = np.full(4, -np.inf)
    assert importance_weighted(never, rewards, episode, moment, 0.5, np.ones((1, 2))) is None


def test_a_resample_in_which_no_weight_survives_is_dropped() -> None:
    """The policy does what the first of two episodes did; drawing the other alone says nothing."""
    log_ratios, rewards = np.array([0.0, 0.0, 0.0, -np.inf]), np.array([1.0, 10.0, 3.0, 50.0])
    episode, moment = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    weights = np.array([[1, 1], [0, 2], [2, 0]], np.float64)
    signs: list[int] = []
    found = importance_weighted(
        log_ratios, rewards, episode, moment, 1.0, weights, lambda: signs.append(0)
    )
    assert found is not None
    assert found.values == pytest.approx([2.0 + 10.0, 1.0 + 10.0])
    assert len(signs) == 3


@pytest.mark.parametrize("ratio", [10.0, 0.1])
def test_the_weights_of_long_episodes_do_not_overflow(ratio: float) -> None:
    """Of 1,000 steps, the second one twice as probable in its last, where the reward is. A third
    is nothing beside them, and yet all that is known where it is drawn alone."""
    length = 1_000
    log_ratios = np.full((3, length), np.log(ratio))
    log_ratios[1, -1] += np.log(2)
    log_ratios[2] -= 1
    rewards = np.zeros((3, length))
    rewards[:, -1] = 1.0, 4.0, 7.0
    episode, moment = (each.ravel() for each in np.indices((3, length)))
    weights = np.array([[1, 1, 1], [0, 0, 3]], np.float64)
    found = importance_weighted(log_ratios.ravel(), rewards.ravel(), episode, moment, 1.0, weights)
    assert found is not None
    assert found.values == pytest.approx([3.0, 7.0])
    assert found.effective_episodes == pytest.approx(9 / 5)


def test_a_short_episode_gains_nothing_after_its_end() -> None:
    ratios, rewards = np.zeros(3), np.array([4.0, 2.0, 2.0])
    episode, moment = np.array([0, 1, 1]), np.array([0, 0, 1])
    found = importance_weighted(ratios, rewards, episode, moment, 1.0, np.ones((1, 2)))
    assert found is not None
    assert found.values == pytest.approx([3.0 + 1.0])


def test_resamples_draw_as_many_episodes_as_there_are() -> None:
    drawn = resampled(7, np.random.default_rng(0))
    assert drawn.shape == (1 + RESAMPLES, 7)
    assert set(drawn.sum(axis=1)) == {7}
    assert drawn[0].tolist() == [1] * 7


@pytest.mark.parametrize(
    ("value", "low", "high"), [(9.0, 4.975, 194.025), (300.0, 4.975, 300.0), (-5.0, -5.0, 194.025)]
)
def test_an_interval_holds_its_value(value: float, low: float, high: float) -> None:
    found = interval(np.concatenate([[value], np.arange(RESAMPLES, dtype=np.float64)]))
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))


def test_staying_close_is_the_paper_s_loss() -> None:
    u, logged = torch.tensor([[0.5]]), torch.tensor([[-1.0]])
    objective = StayClose(action_head((), 10.0), 2.5)
    loss = objective.loss(torch.tensor([[-4.0, -4.0]]), u, logged)
    assert loss.item() == pytest.approx(2.5 + (np.tanh(0.5) + 1) ** 2)


def test_staying_close_to_choices_is_their_cross_entropy() -> None:
    u, logged = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    distance = action_head((2,), 10.0).distance(u, logged)
    assert distance.item() == pytest.approx(np.log(1 + np.e))
