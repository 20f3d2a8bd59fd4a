import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

import mrq_core
from mrq_core.errors import EnvironmentFault, NonFiniteError
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Progressed, Started
from mrq_core.run import TrainingRun
from mrq_core.session import Session
from mrq_core.spaces import SpaceError
from mrq_core.training import train
from tests.mrq_core.toys import TINY, tiny_run

E = TypeVar("E")


def told(event: Event) -> tuple[str, int]:
    return type(event).__name__, event.step


def of(kind: type[E], events: list[Event]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def test_the_order_of_events() -> None:
    run = tiny_run(total_steps=110, evaluation_every=50, checkpoint_every=40, log_every=50)

    assert list(map(told, train(run))) == [
        ("Started", 0),
        ("Evaluated", 0),
        ("CheckpointDue", 40),
        ("Progressed", 50),
        ("Evaluated", 50),
        ("CheckpointDue", 80),
        ("Progressed", 100),
        ("Evaluated", 100),
        ("Evaluated", 110),
        ("CheckpointDue", 110),
        ("Finished", 110),
    ]


def test_a_stop_is_answered_with_a_checkpoint_of_that_step() -> None:
    asked = iter([False] * 13 + [True])
    events = list(train(tiny_run(checkpoint_every=100), stop=lambda: next(asked)))

    assert list(map(told, events[-2:])) == [("CheckpointDue", 13), ("Stopped", 13)]


def test_a_stop_at_a_checkpoint_needs_no_second_one() -> None:
    asked = iter([False] * 40 + [True])
    events = list(train(tiny_run(), stop=lambda: next(asked)))

    assert list(map(told, events[-2:])) == [("CheckpointDue", 40), ("Stopped", 40)]
    assert len(of(CheckpointDue, events)) == 1


def test_a_stop_before_the_first_step() -> None:
    events = list(train(tiny_run(), stop=lambda: True))

    assert list(map(told, events)) == [
        ("Started", 0),
        ("Evaluated", 0),
        ("CheckpointDue", 0),
        ("Stopped", 0),
    ]


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "Pendulum-v1"])
def test_equal_seeds_give_equal_runs_and_others_do_not(environment_id: str) -> None:
    first, again, other = (list(train(tiny_run(environment_id, seed=seed))) for seed in (1, 1, 2))

    assert of(Finished, first) == of(Finished, again)
    assert of(Progressed, first) == of(Progressed, again)
    assert [e.returns for e in of(Evaluated, first)] == [e.returns for e in of(Evaluated, again)]
    assert of(Finished, first) != of(Finished, other)


def test_evaluation_leaves_no_trace_in_training() -> None:
    often = tiny_run(evaluation_every=4, evaluation_episodes=1, evaluation_mode="sample")
    seldom = tiny_run(evaluation_every=1000, evaluation_episodes=3)

    runs = [list(train(run)) for run in (often, seldom)]

    assert of(Finished, runs[0]) == of(Finished, runs[1])
    assert of(Progressed, runs[0]) == of(Progressed, runs[1])


def test_evaluations_use_the_same_seeds_at_every_step_and_not_those_of_training() -> None:
    run = tiny_run(evaluation_episodes=3, evaluation_every=3, total_steps=9)
    evaluations = of(Evaluated, list(train(run)))

    assert len({e.seeds for e in evaluations}) == 1
    assert len(set(evaluations[0].seeds)) == 3
    assert Session(run).episode.seed not in evaluations[0].seeds


def test_evaluation_reports_return_and_length_of_each_episode() -> None:
    run = tiny_run("Scripted-v0", environment_kwargs={"length": 4}, total_steps=1)
    first = of(Evaluated, list(train(run)))[0]

    assert first.returns == (10.0, 10.0)
    assert first.lengths == (4, 4)
    assert first.action_mode == "deterministic"


def test_progress_is_the_mean_since_the_last_report() -> None:
    run = tiny_run("Scripted-v0", environment_kwargs={"length": 4}, total_steps=20)
    reports = of(Progressed, list(train(run)))

    assert [report.episodes for report in reports] == [2, 5]
    assert reports[0].metrics == {
        "train/return": 10.0,
        "train/length": 4.0,
        "train/terminated": 1.0,
        "replay/size": 12.0,
        "reward_scale": 1.0,
    }


def test_progress_has_the_losses_once_training_began() -> None:
    last = of(Progressed, list(train(tiny_run())))[-1].metrics

    losses = {"encoder", "dynamics", "reward", "terminal", "value", "policy"}
    assert {f"loss/{name}" for name in losses} | {"q/mean", "target/mean"} <= set(last)
    assert last["reward_scale"] == 1.0  # CartPole's reward is 1 in every step


def test_training_begins_when_the_replay_is_larger_than_the_warmup() -> None:
    # Episodes of 4 steps take 5 slots: 24 steps fill 30 of them, the 25th one more.
    session = Session(tiny_run("Scripted-v0", environment_kwargs={"length": 4}))
    steps = {}
    while session.agent.training_steps == 0:
        session.advance()
        steps[session.step] = session.replay.size

    assert (steps[24], steps[25]) == (30, 31)
    assert session.step == 25


def test_random_actions_end_when_the_replay_reaches_the_warmup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = Session(tiny_run("Scripted-v0", environment_kwargs={"length": 4}))
    by_policy: list[int] = []
    explore = session.agent.explore

    def watched(state: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        by_policy.append(session.step)
        return explore(state, mask)

    monkeypatch.setattr(session.agent, "explore", watched)
    for _ in range(30):
        session.advance()

    assert by_policy == list(range(25, 31))


def test_nothing_is_learned_while_nothing_is_eligible() -> None:
    run = tiny_run("Scripted-v0", environment_kwargs={"length": 9}, max_episode_steps=3)
    events = list(train(replace(run, total_steps=60)))

    assert "loss/value" not in of(Progressed, events)[-1].metrics


def test_discrete_actions_are_stored_one_hot_from_the_first_step() -> None:
    session = Session(tiny_run())
    for _ in range(60):
        session.advance()
    replay = session.replay
    actions = replay.action[: replay.size][replay.transition[: replay.size]]
    both = {(0.0, 1.0), (1.0, 0.0)}

    assert set(map(tuple, actions[:20].tolist())) == both  # by chance, in the warm-up
    assert set(map(tuple, actions.tolist())) == both


def test_continuous_actions_are_stored_normalised() -> None:
    session = Session(tiny_run("Pendulum-v1"))
    for _ in range(40):
        session.advance()

    stored = session.replay.action[:40]
    executed = np.stack(session.episode.actions)
    np.testing.assert_allclose(executed, 2 * stored, rtol=1e-6)
    assert np.abs(executed).max() > 1


def test_an_evaluated_policy_can_be_exported() -> None:
    bundles = [event.export_policy() for event in train(tiny_run()) if isinstance(event, Evaluated)]

    assert [bundle.manifest["step"] for bundle in bundles] == [0, 50, 90]
    golden = bundles[-1].manifest["golden"]
    assert np.shape(golden["observations"]) == (16, 4)
    assert len({tuple(row) for row in golden["observations"]}) >= 8
    assert bundles[0].onnx != bundles[-1].onnx


def test_an_export_says_what_was_seen_in_training() -> None:
    session = Session(tiny_run())
    assert session.seen() is None
    for _ in range(60):
        session.advance()
    frames = session.replay.frame[: session.replay.size]
    bundles = [event.export_policy() for event in train(tiny_run()) if isinstance(event, Evaluated)]

    low, high = session.seen() or (None, None)
    np.testing.assert_array_equal(low, frames.min(axis=0))
    np.testing.assert_array_equal(high, frames.max(axis=0))
    assert "seen" not in bundles[0].manifest
    assert np.shape(bundles[-1].manifest["seen"]["low"]) == (4,)


def test_even_a_one_step_episode_gives_golden_pairs() -> None:
    run = tiny_run(
        "Scripted-v0", environment_kwargs={"length": 1}, total_steps=1, evaluation_episodes=1
    )
    first = next(event for event in train(run) if isinstance(event, Evaluated))

    assert np.shape(first.export_policy().manifest["golden"]["observations"]) == (16, 2)


def test_the_last_exports_weights_are_the_finished_runs() -> None:
    events = []
    for event in train(tiny_run()):
        events.append(event)
        if isinstance(event, Evaluated):
            digest = event.export_policy().manifest["weights_sha256"]

    assert of(Finished, events)[0].weights_sha256 == digest


@pytest.mark.parametrize(
    ("kwargs", "error", "step"),
    [
        ({"fault": "raises", "fault_at": 3}, EnvironmentFault, 0),
        ({"length": 4, "reward": float("nan")}, NonFiniteError, 0),
    ],
)
def test_a_fault_ends_the_run(kwargs: dict[str, Any], error: type[Exception], step: int) -> None:
    # The evaluation at step 0 meets it first.
    with pytest.raises(error, match=f"at step {step}"):
        list(train(tiny_run("Scripted-v0", environment_kwargs=kwargs)))


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    session = Session(tiny_run())
    while session.agent.training_steps == 0:
        session.advance()
    with torch.no_grad():
        session.agent.value.output.bias.fill_(torch.nan)

    with pytest.raises(NonFiniteError, match=rf"at step {session.step + 1}: loss/value is not"):
        session.advance()


def test_an_action_space_that_cannot_be_learned_is_told() -> None:
    with pytest.raises(SpaceError, match="finite action bounds in dimension 1"):
        list(train(tiny_run("Scripted-v0", environment_kwargs={"unbounded": True})))


def test_the_count_of_parameters_is_told() -> None:
    started = next(iter(train(tiny_run())))

    assert isinstance(started, Started)
    assert not started.resumed
    assert started.parameter_count == Session(tiny_run()).parameter_count()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": 0}, "total_steps is 0; it must be at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0"),
        ({"seed": -1}, "seed is -1; it must be between 0 and"),
        ({"evaluation_mode": "best"}, "evaluation_mode is 'best'; it must be 'deterministic' or"),
    ],
)
def test_an_impossible_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_run(**changes)


def test_the_spec_names_what_decides_the_course_of_learning() -> None:
    run = tiny_run()
    same = replace(run, total_steps=10**6, evaluation_every=1, device="cuda", log_every=3)
    others = (
        {"seed": 8},
        {"environment_id": "Pendulum-v1"},
        {"environment_kwargs": {"g": 9.0}},
        {"max_episode_steps": 9},
        {"hyperparameters": replace(TINY, batch_size=9)},
    )

    assert run.spec_sha256() == same.spec_sha256()
    for other in others:
        changed: TrainingRun = replace(run, **other)
        assert changed.spec_sha256() != run.spec_sha256()


def test_episodes_too_short_to_learn_from_end_the_run() -> None:
    # A pole does not fall within 3 steps: every episode is truncated, and a window needs 5.
    run = tiny_run("CartPole-v1", max_episode_steps=3, total_steps=10_000)

    with pytest.raises(EnvironmentFault, match="all 100 episodes were cut off") as caught:
        list(train(run))

    assert caught.value.step == 301


def test_episodes_of_one_step_that_terminate_are_learned_from() -> None:
    run = tiny_run("Scripted-v0", environment_kwargs={"length": 1}, max_episode_steps=None)

    assert "loss/value" in of(Progressed, list(train(run)))[-1].metrics


def test_clamped_rewards_are_counted() -> None:
    run = tiny_run("Scripted-v0", environment_kwargs={"reward": -30_000.0}, total_steps=20)
    counts = [event.metrics.get("reward/clamped") for event in of(Progressed, list(train(run)))]
    assert counts == [10, 10]

    run = tiny_run("Scripted-v0", environment_kwargs={"reward": 20_000.0}, total_steps=20)
    assert all("reward/clamped" not in e.metrics for e in of(Progressed, list(train(run))))


def test_a_sign_of_life_for_every_step_update_and_step_of_an_evaluation(tmp_path: Path) -> None:
    signs: list[str] = []
    run = tiny_run(
        "Scripted-v0", total_steps=45, evaluation_every=45, evaluation_episodes=3, log_every=45
    )
    for event in train(run, alive=lambda: signs.append("x")):
        if isinstance(event, Evaluated):
            # Three episodes of 5 steps.
            assert len(signs) == 15 if event.step == 0 else len(signs) > 45
        if isinstance(event, CheckpointDue):
            event.state.save(tmp_path)
    # Two evaluations, and the one burst of 20 encoder updates since the warm-up of 30.
    assert len(signs) == 2 * 15 + 20 * len(range(0, 45 - 26, 20))


def test_b11_the_algorithm_knows_no_clock() -> None:
    core = Path(mrq_core.__file__).parent
    sources = {path.name: path.read_text() for path in core.rglob("*.py")}
    # Dates in a table are no clock.
    clock = re.compile(r"^\s*(import|from) time\b|\.(now|utcnow|today)\(", re.M)

    assert len(sources) > 30
    assert [name for name, source in sources.items() if clock.search(source)] == []


def test_weights_that_are_not_finite_end_the_run_before_a_checkpoint() -> None:
    events = train(tiny_run(checkpoint_every=1, evaluation_every=10**9))
    for event in events:
        if isinstance(event, CheckpointDue) and event.step == 10:
            assert isinstance(event.state, Session)
            with torch.no_grad():
                event.state.agent.encoder_target.za.bias[0] = torch.inf
            break

    with pytest.raises(NonFiniteError, match=r"step 11: the encoder_target's za\.bias is not"):
        next(events)


@pytest.mark.parametrize(("history", "most"), [(0, 255), (256, 255), (99, 95)])
def test_a_history_that_the_buffer_cannot_hold_is_refused(history: int, most: int) -> None:
    h = replace(TINY, buffer_size=100) if most == 95 else TINY

    with pytest.raises(ValueError, match=f"history is {history}; it must be between 1 and {most}"):
        tiny_run(history=history, hyperparameters=h)
