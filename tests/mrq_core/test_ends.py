"""A run ends by its steps, its episodes or its target, also when it was interrupted before."""

from dataclasses import replace
from pathlib import Path

import pytest

from mrq_core.events import CheckpointDue, Evaluated, Event, Finished
from mrq_core.run import TrainingRun
from mrq_core.training import train
from tests.mrq_core.test_resume import a_run, follow, stop_at


def _finished(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def _evaluated_at(events: list[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, Evaluated)]


def test_the_last_episode_ends_the_run(tmp_path: Path) -> None:
    run = replace(a_run("CartPole-v1"), total_steps=10_000, max_episodes=2)
    events = follow(train(run), tmp_path)
    finished = _finished(events)
    assert finished.end == "episodes"
    assert finished.step < 1_000
    assert _evaluated_at(events)[-1] == finished.step, "what was learnt last is measured"
    assert isinstance(events[-2], CheckpointDue)


@pytest.fixture(scope="module")
def reachable(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingRun, int]:
    """With a target that an evaluation after the first one reaches, and the step of that."""
    run = a_run("CartPole-v1", seed=6, evaluation_mode="sample")
    events = follow(train(run), tmp_path_factory.mktemp("whole"))
    first, *others = (e for e in events if isinstance(e, Evaluated))
    reaches = next((e for e in others if e.returns > first.returns), None)
    assert reaches is not None, "with this seed it used to get better; another may be needed"
    return replace(run, target_return=reaches.returns[0]), reaches.step


def test_an_evaluation_that_reaches_the_target_ends_the_run(
    reachable: tuple[TrainingRun, int], tmp_path: Path
) -> None:
    run, step = reachable
    events = follow(train(run), tmp_path)
    assert (_finished(events).end, _finished(events).step) == ("target", step)
    assert isinstance(events[-2], CheckpointDue)


def test_a_target_reached_before_the_first_step_needs_no_training() -> None:
    run = replace(a_run("CartPole-v1"), target_return=0.0)
    assert _finished(list(train(run))).step == 0


def test_interrupted_at_the_target_it_does_not_go_on(
    reachable: tuple[TrainingRun, int], tmp_path: Path
) -> None:
    """The evaluation is not repeated: that it was enough has to stand in the checkpoint."""
    run, step = reachable
    follow(train(run), tmp_path)
    rest = list(train(run, resume_from=tmp_path / str(step)))
    assert (_finished(rest).end, _finished(rest).step) == ("target", step)
    higher = replace(run, target_return=1e9)
    assert _finished(list(train(higher, resume_from=tmp_path / str(step)))).end == "steps"


@pytest.mark.parametrize("episodes", [2, 3])
def test_interrupted_before_its_end_it_ends_at_the_same_step(episodes: int, tmp_path: Path) -> None:
    run = replace(a_run("CartPole-v1"), total_steps=10_000, max_episodes=episodes)
    whole = _finished(follow(train(run), tmp_path / "whole"))
    follow(train(run, stop=stop_at(15)), tmp_path / "first")
    rest = list(train(run, resume_from=tmp_path / "first" / "15"))
    assert _finished(rest) == whole
