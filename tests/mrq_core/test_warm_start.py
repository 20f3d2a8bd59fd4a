"""A run that begins with what another one has learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mrq_core.digest import weights_sha256
from mrq_core.errors import ResumeError
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Started
from mrq_core.run import TrainingRun, WarmStart
from mrq_core.session import Session
from mrq_core.training import train
from tests.mrq_core.toys import TINY, tiny_run

STEPS = 80  # in the middle of an episode
WEIGHTS, ALL = (WarmStart(sha256="ab", load=load) for load in ("weights", "all"))


def a_run(**changes: Any) -> TrainingRun:
    plain: dict[str, Any] = {
        "total_steps": STEPS,
        "checkpoint_every": 10**9,
        "evaluation_every": 45,
        "evaluation_episodes": 1,
        "hyperparameters": TINY,
    }
    return tiny_run(changes.pop("environment_id", "Pendulum-v1"), **plain | changes)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """The checkpoint at the end of a run, and its events."""
    folder = tmp_path_factory.mktemp("learnt")
    events = []
    for event in train(a_run()):
        if isinstance(event, CheckpointDue):
            event.state.save(folder)
        events.append(event)
    return folder, events


def the(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def begun(folder: Path, **changes: Any) -> Session:
    session = Session(a_run(**changes))
    session.begin_from(folder)
    return session


def resumed(folder: Path) -> Session:
    session = Session(a_run())
    session.resume(folder)
    return session


def moments(session: Session) -> list[torch.Tensor]:
    optimizers = session.agent.optimizers().values()
    return [s["exp_avg"] for optimizer in optimizers for s in optimizer.state.values()]


def test_weights_alone_are_the_networks_and_their_scales(
    learnt: tuple[Path, list[Event]],
) -> None:
    folder, events = learnt
    session, theirs = begun(folder, warm_start=WEIGHTS), resumed(folder)
    assert weights_sha256(session.agent) == the(Finished, events)[0].weights_sha256
    assert session.agent.reward_scale == theirs.agent.reward_scale != 1.0
    assert session.agent.target_reward_scale == theirs.agent.target_reward_scale
    assert not any(moment.any() for moment in moments(session)), "the optimisers are new"
    assert (session.step, session.replay.size, session.agent.training_steps) == (0, 0, 0)
    assert session.episode.index == 0


def test_all_is_also_optimisers_and_replay(learnt: tuple[Path, list[Event]]) -> None:
    folder, _ = learnt
    session, theirs = begun(folder, warm_start=ALL), resumed(folder)
    for ours, other in zip(moments(session), moments(theirs), strict=True):
        assert torch.equal(ours, other)
    assert session.agent.training_steps == theirs.agent.training_steps > 0
    replay, other_replay = session.replay, theirs.replay
    size = other_replay.size
    assert replay.size == size + 1, "the episode under way got its last frame"
    assert replay.episode_length == 0 < other_replay.episode_length
    np.testing.assert_array_equal(replay.frame[:size], other_replay.frame[:size])
    np.testing.assert_array_equal(replay.priority[:size], other_replay.priority[:size])
    np.testing.assert_array_equal(replay.frame[size], theirs.episode.observation)
    assert not replay.transition[size]
    assert session.step == 0


def test_it_plays_at_once_as_the_other_one_did_at_its_end(
    learnt: tuple[Path, list[Event]],
) -> None:
    folder, events = learnt
    run = a_run(warm_start=WEIGHTS)
    followed = list(train(run, begin_from=folder))
    assert the(Started, followed)[0].step == 0
    first, last = the(Evaluated, followed)[0], the(Evaluated, events)[-1]
    assert (first.step, first.returns) == (0, last.returns)


@pytest.mark.parametrize(("start", "first"), [(WEIGHTS, TINY.warmup_steps + 1), (ALL, 1)])
def test_with_the_replay_it_learns_from_the_first_step(
    learnt: tuple[Path, list[Event]], start: WarmStart, first: int
) -> None:
    session = begun(learnt[0], warm_start=start)
    before = session.agent.training_steps
    steps = 0
    while session.agent.training_steps == before:
        session.advance()
        steps += 1
    assert steps == first


@pytest.mark.parametrize("start", [WEIGHTS, ALL])
def test_it_resumes_bit_exact_without_the_other_run(
    learnt: tuple[Path, list[Event]], tmp_path: Path, start: WarmStart
) -> None:
    run = a_run(warm_start=start, seed=5)
    through = list(train(run, begin_from=learnt[0]))
    for event in train(run, begin_from=learnt[0], stop=after(40)):
        if isinstance(event, CheckpointDue):
            event.state.save(tmp_path)
    rest = list(train(run, resume_from=tmp_path))
    assert the(Started, rest)[0].step == 40
    assert the(Finished, rest) == the(Finished, through)


def after(steps: int) -> Callable[[], bool]:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return stop


def test_a_checkpoint_of_the_same_run_begun_otherwise_is_not_taken(
    learnt: tuple[Path, list[Event]],
) -> None:
    with pytest.raises(ResumeError, match="warm_start"):
        Session(a_run(warm_start=WEIGHTS)).resume(learnt[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hyperparameters": replace(TINY, zs_dim=24)}, "encoder/state.layers.2.weight is"),
        ({"environment_id": "CartPole-v1"}, "expected torch.float32"),
    ],
)
def test_networks_of_another_form_are_refused(
    learnt: tuple[Path, list[Event]], changes: dict[str, Any], told: str
) -> None:
    for start in (WEIGHTS, ALL):
        with pytest.raises(ResumeError, match=told):
            begun(learnt[0], warm_start=start, **changes)


@pytest.mark.parametrize("setting", [{"buffer_size": 150}, {"q_horizon": 2}, {"lap_alpha": 1.0}])
def test_a_replay_of_another_form_is_refused_and_the_weights_alone_are_not(
    learnt: tuple[Path, list[Event]], setting: dict[str, Any]
) -> None:
    h = replace(TINY, **setting)
    (name,) = setting
    with pytest.raises(ResumeError, match=f"{name} is .*load the weights alone"):
        begun(learnt[0], warm_start=ALL, hyperparameters=h)
    begun(learnt[0], warm_start=WEIGHTS, hyperparameters=h)


@pytest.mark.parametrize("damage", ["missing", "cut", "version"])
def test_what_cannot_be_read_is_refused(
    learnt: tuple[Path, list[Event]], tmp_path: Path, damage: str
) -> None:
    for file in learnt[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights, state = tmp_path / "agent.safetensors", tmp_path / "state.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    else:
        state.write_text(json.dumps(json.loads(state.read_text()) | {"format_version": 1}))
    with pytest.raises(ResumeError):
        begun(tmp_path, warm_start=WEIGHTS)
