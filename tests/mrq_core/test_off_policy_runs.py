"""What a policy is worth by a log: in a simulator where the truth is known, and in whole runs."""

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
from mrq_core.errors import EnvironmentFault, NonFiniteError
from mrq_core.evaluation import SAMPLE_STATES
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished
from mrq_core.off_policy.evaluator import OffPolicyEvaluator
from mrq_core.off_policy.resampling import RESAMPLES
from mrq_core.offline import OfflineSession
from mrq_core.policy import Policy, policy_of
from mrq_core.run import Offline
from mrq_core.training import train
from mrq_core.world_model import world_model_of
from tests.mrq_core.fits import runaway
from tests.mrq_core.logs import offline_run


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
    assert estimate.lead is not None
    assert 0 < estimate.lead.low <= truth - logged <= estimate.lead.high
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


def small_run(folder: Path, content: bytes | None = None, **changes: Any) -> Any:
    run = offline_run(content or log_csv(12, Logging(True), seed=0), folder)
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


class AsLogged(Policy):
    """Does what was done in `switches`."""

    def act(self, states: Any, *_: Any, **__: Any) -> Any:
        right = states[:, :1] > 0
        return np.concatenate([~right, right], axis=1).astype(np.float32)


def switches(episodes: int = 24, *, acted: bool = False, constant: bool = True) -> bytes:
    """-1 and 1 in turns, and action 0 or 1 by that. The reward is 1, or the action. Cut off after
    six steps: with what was seen then, or also with what was done."""
    lines = ["episode,x,action,reward,terminated"]
    for episode in range(episodes):
        for step in range(7):
            right = (episode + step) % 2
            done = f"{right},{1 if constant else right},0"
            lines.append(f"{episode},{2 * right - 1},{done if step < 6 or acted else ',,'}")
    return "\n".join(lines).encode()


def judging(content: bytes, folder: Path) -> tuple[OffPolicyEvaluator, AsLogged]:
    run = small_run(folder, content)
    agent = OfflineSession(run).agent
    return OffPolicyEvaluator(run), AsLogged(
        agent.encoder, agent.policy, agent.head, 0.1, world_model_of(agent)
    )


@pytest.mark.parametrize("acted", [False, True], ids=["seen", "acted"])
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "by action"])
def test_whoever_does_as_was_logged_has_no_lead(
    tmp_path: Path, acted: bool, constant: bool
) -> None:
    """What was gained stops after six steps; both values go on."""
    evaluator, policy = judging(switches(acted=acted, constant=constant), tmp_path)
    estimate = evaluator.evaluate(policy, 0).estimate
    assert estimate is not None
    assert estimate.fitted.value == pytest.approx(20.0 if constant else 10.0, abs=0.3)
    assert estimate.logged.value < estimate.fitted.value / 3
    assert estimate.lead is not None
    assert [estimate.lead.low, estimate.lead.high] == pytest.approx([0.0, 0.0], abs=0.02)


def test_there_is_no_lead_where_nobody_knows_what_was_done_next(tmp_path: Path) -> None:
    evaluator, policy = judging(switches(), tmp_path)
    assert evaluator.judged is not None
    nowhere = np.zeros_like(evaluator.judged.followed)
    evaluator.judged = replace(evaluator.judged, followed=nowhere)
    estimate = evaluator.evaluate(policy, 0).estimate
    assert estimate is not None
    assert estimate.lead is None
    assert estimate.fitted.value == pytest.approx(20.0)


def test_a_value_beyond_any_number_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator, policy = judging(switches(), tmp_path)
    assert evaluator.judged is not None
    fits = [runaway(evaluator.judged.episodes)]
    calm = [replace(each, following=each.features) for each in fits]
    for found, whose in (((fits, calm), "the policy's"), ((calm, fits), "the logging policy's")):
        monkeypatch.setattr(evaluator, "_fits", lambda *_, found=found: found)
        with pytest.raises(NonFiniteError, match=f"at step 7: {whose} value by the log is not"):
            evaluator.evaluate(policy, 7)


def test_an_embedding_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    evaluator, policy = judging(switches(), tmp_path)
    with torch.no_grad():
        next(policy.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="at step 7: the embedding of a logged state"):
        evaluator.evaluate(policy, 7)


def test_an_evaluation_is_alive_at_every_refit(tmp_path: Path) -> None:
    evaluator, policy = judging(switches(), tmp_path)
    signs: list[int] = []
    evaluator.alive = lambda: signs.append(0)
    evaluator.evaluate(policy, 0)
    assert len(signs) > 2 * RESAMPLES, "of the policy, and of whoever was logged"


def test_only_episodes_without_a_transition_to_judge_by_are_an_error(tmp_path: Path) -> None:
    """Every fourth has one row, of which nobody knows where it led."""
    lines = switches().decode().splitlines()
    cut = {f"{n}" for n in range(3, 24, 4)}
    kept, seen = [], set[str]()
    for line in lines:
        episode = line.split(",")[0]
        if episode not in cut or episode not in seen:
            kept.append(line)
        seen.add(episode)
    with pytest.raises(EnvironmentFault, match="of the 6 episodes to judge by 0 have a transition"):
        judging("\n".join(kept).encode(), tmp_path)


def test_the_first_episodes_may_have_no_transition(tmp_path: Path) -> None:
    lines = switches(12).decode().splitlines()
    short = [f"short{n},1,1,1,0" for n in range(20)]
    evaluator, policy = judging("\n".join([lines[0], *short, *lines[1:]]).encode(), tmp_path)
    assert len(evaluator.evaluate(policy, 0).states) >= SAMPLE_STATES


def test_what_does_not_fit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    signs: list[int] = []
    run = small_run(tmp_path, switches())
    hyperparameters = replace(run.hyperparameters, buffer_size=125, warmup_steps=1)
    told = r"the dataset has 126 observations to learn from; buffer_size is 125"
    with pytest.raises(EnvironmentFault, match=told):
        OfflineSession(replace(run, hyperparameters=hyperparameters), lambda: signs.append(0))
    assert not signs
    enough = replace(hyperparameters, buffer_size=126)
    session = OfflineSession(replace(run, hyperparameters=enough), lambda: signs.append(0))
    assert session.replay.head == 126
    assert len(signs) == 108, "of every step"


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
