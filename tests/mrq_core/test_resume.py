"""A run that was interrupted anywhere ends, byte for byte, as one that ran through."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from safetensors.numpy import load_file, save_file

from mrq_core.errors import ResumeError
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Progressed, Started, Stopped
from mrq_core.run import TrainingRun
from mrq_core.session import Session
from mrq_core.training import train
from tests.mrq_core.kinds import register
from tests.mrq_core.toys import TINY, tiny_run

STEPS = 90
FILES = ("agent.safetensors", "replay.safetensors", "episode.safetensors", "state.json")


# Vectors with continuous and with discrete actions, and images of which two make an input.
RUNS: dict[str, dict[str, Any]] = {
    "continuous": {"environment_id": "Pendulum-v1"},
    "discrete": {"environment_id": "CartPole-v1"},
    "pixels": {
        "environment_id": "Kinds-v0",
        "environment_kwargs": {"kind": "Box, RGB image, channels last"},
        "history": 2,
    },
}
# In the warm-up, one step on, at its end, mid-cycle, right at and after a burst, mid-episode, and
# ten more by chance; the episodes' ends are added by a test below.
CHOSEN = (0, 1, 17, 31, 36, 50, 51, 52, 68, 89)
OTHERS = np.random.default_rng(20).choice(np.setdiff1d(np.arange(STEPS), CHOSEN), 10, False)
INTERRUPTIONS = sorted([*CHOSEN, *OTHERS.tolist()])


def a_run(environment_id: str, **changes: Any) -> TrainingRun:
    # No checkpoint but the last and those of a stop; the replay wraps around.
    h = replace(TINY, buffer_size=100, enc_horizon=2, reset_max_priority=True)
    return tiny_run(
        environment_id,
        **changes,
        total_steps=STEPS,
        checkpoint_every=10**9,
        evaluation_every=30,
        evaluation_episodes=1,
        log_every=7,
        hyperparameters=h,
    )


def follow(
    events: Iterator[Event], directory: Path, resumed_from: Path | None = None
) -> list[Event]:
    """All events; checkpoints are saved into folders named by their step."""
    seen, previous = [], resumed_from
    for event in events:
        seen.append(event)
        if isinstance(event, CheckpointDue):
            target = directory / str(event.step)
            target.mkdir(parents=True, exist_ok=True)
            event.state.save(target, previous)
            previous = target
    return seen


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def stop_at(step: int) -> Any:
    asked = iter(range(step + 1))
    return lambda: next(asked) == step


def comparable(events: list[Event]) -> list[object]:
    kept: list[object] = [e for e in events if isinstance(e, (Progressed, Finished))]
    return kept + [(e.step, e.returns) for e in events if isinstance(e, Evaluated)]


@pytest.fixture(scope="module", params=RUNS)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainingRun, list[Event], Path]:
    """A run that was never interrupted, and the folder of its last checkpoint."""
    torch.set_num_threads(1)
    register()
    run = a_run(**RUNS[request.param])
    directory = tmp_path_factory.mktemp("whole")
    return run, follow(train(run), directory), directory / str(STEPS)


@pytest.mark.parametrize("at", INTERRUPTIONS)
def test_interrupted_anywhere(
    whole: tuple[TrainingRun, list[Event], Path], at: int, tmp_path: Path
) -> None:
    run, events, last = whole
    first = follow(train(run, stop=stop_at(at)), tmp_path)
    assert isinstance(first[-1], Stopped)
    assert first[-1].step == at

    rest = follow(train(run, resume_from=tmp_path / str(at)), tmp_path)

    assert isinstance(rest[0], Started)
    assert (rest[0].step, rest[0].resumed) == (at, True)
    assert sorted(map(str, comparable(first) + comparable(rest))) == sorted(
        map(str, comparable(events))
    )
    assert contents(tmp_path / str(STEPS)) == contents(last)


def test_interrupted_at_an_episodes_end_and_beside_it(tmp_path: Path) -> None:
    run = replace(a_run("CartPole-v1"), total_steps=60)
    whole = list(train(run))
    session = Session(run)
    while session.step < 35 or session.episode.actions:
        session.advance()
    end = session.step
    assert end < 60

    for at in (end - 1, end, end + 1):
        follow(train(run, stop=stop_at(at)), tmp_path)
        rest = follow(train(run, resume_from=tmp_path / str(at)), tmp_path)
        assert rest[-1] == whole[-1]


def test_interrupted_again_and_again(
    whole: tuple[TrainingRun, list[Event], Path], tmp_path: Path
) -> None:
    run, events, last = whole
    at, resume_from = 0, None
    while at < STEPS:
        at = min(at + 23, STEPS)
        steps = stop_at(23)
        seen = follow(train(run, resume_from=resume_from, stop=steps), tmp_path, resume_from)
        resume_from = tmp_path / str(at)

    assert seen[-1] == events[-1]
    assert contents(tmp_path / str(STEPS)) == contents(last)


def test_a_finished_run_is_continued_for_longer(tmp_path: Path) -> None:
    longer = a_run("CartPole-v1")
    shorter = replace(longer, total_steps=40)
    follow(train(shorter), tmp_path)

    rest = follow(train(longer, resume_from=tmp_path / "40"), tmp_path)

    assert rest[-1] == list(train(longer))[-1]


def test_resuming_at_the_end_only_finishes(
    whole: tuple[TrainingRun, list[Event], Path], tmp_path: Path
) -> None:
    run, events, last = whole
    rest = list(train(run, resume_from=last))

    assert [type(event) for event in rest] == [Started, Finished]
    assert rest[-1] == events[-1]


def checkpoint_of(run: TrainingRun, at: int, directory: Path) -> Path:
    follow(train(run, stop=stop_at(at)), directory)
    return directory / str(at)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 8}, "another run: seed differ"),
        ({"environment_id": "Pendulum-v1"}, "another run: environment_id differ"),
        ({"max_episode_steps": 44}, "another run: max_episode_steps differ"),
        ({"hyperparameters": TINY}, "another run: hyperparameters differ"),
        ({"total_steps": 39}, "the checkpoint is at step 40; the run asks for 39 in all"),
    ],
)
def test_another_runs_checkpoint_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run = a_run("CartPole-v1")
    directory = checkpoint_of(run, 40, tmp_path)

    with pytest.raises(ResumeError, match=message):
        next(iter(train(replace(run, **changes), resume_from=directory)))


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    run = a_run("CartPole-v1")
    directory = checkpoint_of(run, 5, tmp_path)
    state = json.loads((directory / "state.json").read_text())
    (directory / "state.json").write_text(json.dumps(state | {"format_version": 99}))

    with pytest.raises(ResumeError, match="has format version 99; this version reads 2"):
        next(iter(train(run, resume_from=directory)))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_damaged_checkpoint_is_refused(name: str, damage: str, tmp_path: Path) -> None:
    run = a_run("CartPole-v1")
    file = checkpoint_of(run, 5, tmp_path) / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 40 if damage == "cut" else 0])

    with pytest.raises(ResumeError, match="the checkpoint in 5 is not readable"):
        next(iter(train(run, resume_from=tmp_path / "5")))


@pytest.mark.parametrize("file", ["agent", "replay"])
def test_arrays_of_another_shape_are_refused(file: str, tmp_path: Path) -> None:
    run = a_run("CartPole-v1")
    path = checkpoint_of(run, 5, tmp_path) / f"{file}.safetensors"
    arrays = load_file(path)
    shorter = {name: array[..., :-1].copy() for name, array in arrays.items() if array.ndim}
    save_file(arrays | shorter, path)

    with pytest.raises(ResumeError, match="the checkpoint in 5 is not readable"):
        next(iter(train(run, resume_from=tmp_path / "5")))


def test_where_an_environment_does_not_repeat_itself_the_episode_is_cut(tmp_path: Path) -> None:
    run = tiny_run("Drifting-v0", evaluation_every=10**9)
    directory = checkpoint_of(run, 13, tmp_path)
    learnt = load_file(directory / "agent.safetensors")

    session = Session(run)
    assert session.resume(directory) is False
    session.save(_folder(tmp_path / "after"))
    # What was learnt is all there; the episode 2 that was under way has ended, truncated.
    restored = load_file(tmp_path / "after" / "agent.safetensors")
    assert all(np.array_equal(restored[name], array) for name, array in learnt.items())
    assert (session.step, session.episode.index, session.replay.episode_length) == (13, 3, 0)
    last = session.replay.cursor - 1
    assert not session.replay.transition[last]
    assert not session.replay.terminated[last - 1]
    cut = len(load_file(directory / "episode.safetensors")["actions"])
    assert 0 < cut <= run.hyperparameters.horizon
    assert not session.replay.tree.leaves[last - cut : last + 1].any()
    session.environment.close()

    events = list(train(run, resume_from=directory))
    assert isinstance(events[0], Started)
    assert not events[0].exact
    assert isinstance(events[-1], Finished)


class Moody(gymnasium.Env[Any, Any]):
    """Of two episodes only the first takes every action. Frames count up, over all episodes."""

    seen = 0
    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, patient: int) -> None:
        self.patient = patient

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.t = 0
        return self._frame(), {}

    def step(self, _: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        if Moody.seen > self.patient:
            raise RuntimeError("no more")
        return self._frame(), 1.0, False, False, {}

    def _frame(self) -> Any:
        Moody.seen += 1
        return np.full(1, Moody.seen, np.float32)


def test_where_the_replayed_episode_breaks_the_environment_it_is_cut(tmp_path: Path) -> None:
    if "Moody-v0" not in gymnasium.registry:
        make: Callable[..., Moody] = Moody
        gymnasium.register("Moody-v0", entry_point=make)
    Moody.seen = 0
    run = tiny_run(
        "Moody-v0", environment_kwargs={"patient": 40}, history=3, max_episode_steps=1000
    )
    session = Session(run)
    for _ in range(13):
        session.advance()
    session.save(_folder(tmp_path / "13"))
    last = session.episode.observation
    Moody.seen = 40

    again = Session(run)
    assert again.resume(tmp_path / "13") is False

    # Its last frame, not the oldest of the three that were kept, ends the episode.
    assert again.replay.frame[again.replay.cursor - 1].tolist() == last.tolist()
    assert again.episode.index == session.episode.index + 1


def test_a_checkpoint_of_another_kind_of_device_is_continued_with_noise_of_its_own(
    tmp_path: Path,
) -> None:
    run = a_run("Pendulum-v1")
    directory = checkpoint_of(run, 40, tmp_path)
    state = json.loads((directory / "state.json").read_text())
    assert state["device"] == "cpu"
    (directory / "state.json").write_text(json.dumps(state | {"device": "cuda"}))
    arrays = load_file(directory / "agent.safetensors")
    # A GPU's generator has 16 bytes of state.
    save_file(arrays | {"generator": np.zeros(16, np.uint8)}, directory / "agent.safetensors")

    events = list(train(run, resume_from=directory))

    assert isinstance(events[0], Started)
    assert not events[0].exact
    assert isinstance(events[-1], Finished)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_tampered_action_is_noticed(tmp_path: Path) -> None:
    run = a_run("Pendulum-v1")
    directory = checkpoint_of(run, 13, tmp_path)
    episode = load_file(directory / "episode.safetensors")
    episode["actions"][4] *= np.float32(0.5)
    save_file(episode, directory / "episode.safetensors")

    started = next(iter(train(run, resume_from=directory)))
    assert isinstance(started, Started)
    assert not started.exact


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    directory = checkpoint_of(a_run("CartPole-v1"), 5, tmp_path)

    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)
    assert all(b"torch._utils" not in path.read_bytes() for path in directory.iterdir())
