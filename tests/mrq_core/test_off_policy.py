"""What a policy is worth by a log: by hand, and in a simulator where the truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.offline.cart import Logging, Numbers, log_csv, true_value
from benchmarks.offline.driving import driver_of
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished
from mrq_core.heads import action_head
from mrq_core.objectives import StayClose
from mrq_core.off_policy.evaluator import OffPolicyEvaluator
from mrq_core.off_policy.fitted import Fit, in_common_units
from mrq_core.off_policy.importance import importance_weighted
from mrq_core.off_policy.resampling import RESAMPLES, interval, resampled
from mrq_core.offline import OfflineSession
from mrq_core.policy import policy_of
from mrq_core.run import Offline
from mrq_core.training import train
from tests.mrq_core.logs import offline_run


def fit(features: Any, following: Any, first: Any, rewards: Any, discount: float = 0.5) -> Fit:
    episode = np.arange(len(first)).repeat(len(rewards) // len(first))
    return Fit(
        np.array(features, np.float64),
        np.array(following, np.float64),
        np.array(first, np.float64),
        np.array(rewards, np.float64),
        episode,
        discount,
    )


def test_fitted_q_evaluation_by_hand() -> None:
    """Two episodes of two steps: 1 now and 2 after that, half as much worth."""
    here = [[1, 0], [0, 1]] * 2
    there = [[0, 1], [0, 0]] * 2
    values = fit(here, there, [[1, 0]] * 2, [1, 2] * 2).values(np.ones((1, 2)))
    assert values == pytest.approx([2.0], rel=5e-3)


def test_each_resample_is_fitted_anew() -> None:
    """Bandits: the policy takes the first arm in the first episode's start, the second in the
    other's; an episode that is drawn twice counts twice in the fit and in the mean."""
    same = fit([[1], [1], [1]], [[0]] * 3, [[1]] * 3, [0, 0, 3])
    weights = np.array([[1, 1, 1], [2, 0, 1], [3, 0, 0]], np.float64)
    assert same.values(weights) == pytest.approx([1.0, 1.0, 0.0], abs=5e-3)


def test_iterations_that_run_away_are_damped() -> None:
    """The next state's feature is four times this one's, so each iteration multiplies the last;
    their fixed point would be below zero, though nothing is ever lost."""
    away = fit([[1.0]] * 2, [[4.0]] * 2, [[1.0]] * 2, [1.0, 1.0], discount=0.9)
    (value,) = away.values(np.ones((1, 2)))
    assert 0 < value < 10


def test_no_value_is_beyond_the_largest_reward_for_ever() -> None:
    far = fit([[1.0]] * 2, [[0.0]] * 2, [[1000.0]] * 2, [1.0, 1.0], discount=0.9)
    assert far.values(np.ones((1, 2))) == pytest.approx([10.0])


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
    ratios = np.array([2.0, 2.0, 2.0, 0.0])
    rewards = np.array([1.0, 10.0, 3.0, 50.0])
    episode, moment = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = importance_weighted(ratios, rewards, episode, moment, 0.5, np.ones((1, 2)))
    assert found is not None
    assert found.values == pytest.approx([2.0 + 5.0])
    assert found.effective_episodes == pytest.approx(1.0)
    nothing = importance_weighted(ratios * 0, rewards, episode, moment, 0.5, np.ones((1, 2)))
    assert nothing is None


def test_a_short_episode_gains_nothing_after_its_end() -> None:
    ratios, rewards = np.array([1.0, 1.0, 1.0]), np.array([4.0, 2.0, 2.0])
    episode, moment = np.array([0, 1, 1]), np.array([0, 0, 1])
    found = importance_weighted(ratios, rewards, episode, moment, 1.0, np.ones((1, 2)))
    assert found is not None
    assert found.values == pytest.approx([3.0 + 1.0])


def test_an_interval_holds_its_value() -> None:
    drawn = resampled(7, np.random.default_rng(0))
    assert drawn.shape == (1 + RESAMPLES, 7)
    assert set(drawn.sum(axis=1)) == {7}
    assert drawn[0].tolist() == [1] * 7
    found = interval(np.concatenate([[9.0], np.arange(RESAMPLES, dtype=np.float64)]))
    assert (found.low, found.high) == pytest.approx((4.975, 194.025))


def test_staying_close_is_the_paper_s_loss() -> None:
    u, logged = torch.tensor([[0.5]]), torch.tensor([[-1.0]])
    objective = StayClose(action_head((), 10.0), 2.5)
    loss = objective.loss(torch.tensor([[-4.0, -4.0]]), u, logged)
    assert loss.item() == pytest.approx(2.5 + (np.tanh(0.5) + 1) ** 2)


def test_staying_close_to_choices_is_their_cross_entropy() -> None:
    u, logged = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    distance = action_head((2,), 10.0).distance(u, logged)
    assert distance.item() == pytest.approx(np.log(1 + np.e))


# ---- in the simulator


def uniform_pushes(state: Numbers) -> Numbers:
    return np.random.default_rng(len(state)).choice([-1.0, 0.0, 1.0], len(state))


@pytest.mark.parametrize("discrete", [True, False], ids=["choices", "numbers"])
def test_the_learnt_policy_beats_the_log_and_its_interval_holds_the_truth(
    tmp_path: Path, discrete: bool
) -> None:
    logging = Logging(discrete)
    run = offline_run(log_csv(240, logging, seed=3), tmp_path)
    session, evaluator = OfflineSession(run), OffPolicyEvaluator(run)
    while session.end is None:
        session.advance()
    policy = policy_of(session.agent)
    rng = np.random.default_rng(9)
    logged = true_value(lambda state: logging.act(state, rng)[0], run.hyperparameters.discount)
    truth = true_value(driver_of(policy, session.codec), run.hyperparameters.discount)
    assert truth > logged + 3
    estimate = evaluator.evaluate(policy, 0).estimate
    assert estimate is not None
    assert estimate.fitted.low <= truth <= estimate.fitted.high
    assert estimate.lead.low > 0
    assert estimate.logged.low <= logged <= estimate.logged.high
    assert (estimate.effective_episodes is not None) == discrete


def test_importance_weights_hold_the_truth_of_bandits(tmp_path: Path) -> None:
    """One step, three arms. Where everything gains more the log also takes the best arm more often,
    so that whoever does not ask how probable an action was thinks too well of it."""
    rng, gains = np.random.default_rng(1), np.array([0.2, 0.9, 0.4])
    lines = ["episode,x,action,reward,terminated,propensity"]
    for row in range(600):
        x = rng.normal()
        chances = [0.1, 0.8, 0.1] if x > 0 else [0.4, 0.2, 0.4]
        action = rng.choice(3, p=chances)
        reward = gains[action] + (x > 0) + 0.1 * rng.normal()
        lines.append(f"{row},{x:.4f},{action},{reward:.4f},1,{chances[action]}")
    run = offline_run("\n".join(lines).encode(), tmp_path, total_steps=150)
    session, evaluator = OfflineSession(run), OffPolicyEvaluator(run)
    while session.end is None:
        session.advance()
    policy = policy_of(session.agent)
    judged, estimate = evaluator.judged, evaluator.evaluate(policy, 0).estimate
    assert judged is not None
    assert estimate is not None
    assert estimate.weighted is not None
    chosen = policy.act(judged.states, "deterministic", torch.Generator())
    truth = float((chosen @ gains + (judged.states[:, 0] > 0)).mean())
    for each in (estimate.weighted, estimate.fitted):
        assert each.low <= truth <= each.high
        assert each.high - each.low < 0.5
    same = (chosen == judged.actions).all(axis=1)
    unweighted = judged.rewards[same].mean()
    assert unweighted > estimate.weighted.high
    assert estimate.effective_episodes is not None
    assert 10 < estimate.effective_episodes < same.sum()


WIDTHS = ("zs_dim", "zsa_dim", "za_dim", "encoder_hidden_dim", "value_hidden_dim")
SMALL: dict[str, Any] = dict.fromkeys((*WIDTHS, "policy_hidden_dim", "batch_size"), 8)


def small_run(folder: Path, **changes: Any) -> Any:
    run = offline_run(log_csv(12, Logging(True), seed=0), folder)
    hyperparameters = replace(run.hyperparameters, target_update_every=10, **SMALL)
    asked: dict[str, Any] = {
        "hyperparameters": hyperparameters,
        "total_steps": 30,
        "evaluation_every": 10,
        "checkpoint_every": 10,
        "log_every": 5,
    }
    return replace(run, **(asked | changes))


def test_a_run_that_is_resumed_goes_on_exactly(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    checkpoint = tmp_path / "checkpoint"
    whole = []
    for event in train(run):
        if isinstance(event, CheckpointDue) and event.step == 10:
            checkpoint.mkdir()
            event.state.save(checkpoint)
        whole.append(told(event))
    again = [told(event) for event in train(run, resume_from=checkpoint)]
    assert again[0] == ("Started", 10, True, True)
    assert again[1:] == whole[-len(again) + 1 :]
    assert [each[:2] for each in again if each[0] == "Evaluated"] == [
        ("Evaluated", 20),
        ("Evaluated", 30),
    ]


def told(event: Any) -> tuple[Any, ...]:
    name = type(event).__name__
    match event:
        case Evaluated():
            return name, event.step, event.returns, event.estimate
        case CheckpointDue():
            return name, event.step
        case Finished():
            return name, event.step, event.weights_sha256
        case _ if name == "Started":
            return name, event.step, event.resumed, event.exact
        case _:
            return name, event.step, dict(event.metrics)


def _digest(events: Iterator[Event]) -> str:
    *_, last = events
    assert isinstance(last, Finished)
    return last.weights_sha256


def test_a_copy_of_the_log_is_another_run(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    other = replace(run, offline=Offline(alpha=0.0))
    assert run.spec_sha256() != other.spec_sha256()
    ends = [_digest(train(each)) for each in (run, other)]
    assert ends[0] != ends[1]


def test_without_episodes_to_judge_by_nothing_is_said(tmp_path: Path) -> None:
    run = small_run(tmp_path, environment_kwargs={"validation_fraction": 0.0})
    evaluated = [event for event in train(run) if isinstance(event, Evaluated)]
    assert [(each.returns, each.estimate) for each in evaluated] == [((), None)] * 4


def test_what_is_judged_is_not_learnt_from(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    session, evaluator = OfflineSession(run), OffPolicyEvaluator(run)
    judged = evaluator.judged
    assert judged is not None
    learnt = {row.tobytes() for row in session.replay.frame[: session.replay.size]}
    assert judged.episodes == 3
    assert not learnt & {row.tobytes() for row in judged.states}
