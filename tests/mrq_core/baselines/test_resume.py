"""A baseline that was interrupted ends, to the byte, as one that ran through, and has learned."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from mrq_core.errors import ResumeError
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Progressed, Started, Stopped
from mrq_core.training import train
from tests.mrq_core.baselines.runs import RUNS, STEPS, a_run, follow


def stop_at(step: int) -> Callable[[], bool]:
    asked = iter(range(step + 1))
    return lambda: next(asked) == step


def comparable(events: list[Event]) -> list[str]:
    kept = [str(e) for e in events if isinstance(e, (Progressed, Finished))]
    return sorted(kept + [str((e.step, e.returns)) for e in events if isinstance(e, Evaluated)])


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


# In the warm-up, and later mid-episode, between two updates, and where the replay has wrapped.
@pytest.mark.parametrize("name", RUNS)
def test_interrupted_and_resumed(name: str, tmp_path: Path) -> None:
    run = a_run(name)
    events = follow(train(run), tmp_path / "whole")
    stops = (11, 41, 77, 109)

    seen: list[Event] = []
    resume_from = None
    for at in (*stops, None):
        begun = 0 if resume_from is None else int(resume_from.name)
        stop = (lambda: False) if at is None else stop_at(at - begun)
        part = follow(train(run, resume_from=resume_from, stop=stop), tmp_path / "parts")
        assert at is None or isinstance(part[-1], Stopped)
        assert isinstance(part[0], Started)
        assert (part[0].step, part[0].exact) == (begun, True)
        seen += part
        resume_from = tmp_path / "parts" / str(at)

    assert comparable(seen) == comparable(events)
    last = str(STEPS)
    ends = contents(tmp_path / "parts" / last)
    assert ends == contents(tmp_path / "whole" / last)
    networks = [load_file(tmp_path / "parts" / str(at) / "agent.safetensors") for at in (11, STEPS)]
    assert any(networks[0][key].tobytes() != networks[1][key].tobytes() for key in networks[0])


@pytest.mark.parametrize("name", ["dqn", "sac"])
def test_continued_for_longer(name: str, tmp_path: Path) -> None:
    run = a_run(name)
    follow(train(run), tmp_path / "whole")
    follow(train(replace(run, total_steps=70)), tmp_path / "parts")
    follow(train(run, resume_from=tmp_path / "parts" / "70"), tmp_path / "parts")

    last = str(STEPS)
    assert contents(tmp_path / "parts" / last) == contents(tmp_path / "whole" / last)


def test_of_another_algorithm(tmp_path: Path) -> None:
    follow(train(a_run("td3")), tmp_path)

    with pytest.raises(ResumeError, match="is of another run: hyperparameters, algorithm differ"):
        list(train(a_run("sac"), resume_from=tmp_path / str(STEPS)))


def test_without_a_tensor(tmp_path: Path) -> None:
    follow(train(a_run("td3")), tmp_path)
    state = tmp_path / str(STEPS) / "state.json"
    broken = json.loads(state.read_text())
    del broken["learner"]["counters"]
    state.write_text(json.dumps(broken))

    with pytest.raises(ResumeError, match="KeyError: 'counters'"):
        list(train(a_run("td3"), resume_from=tmp_path / str(STEPS)))


@pytest.mark.parametrize("name", ["dqn", "ppo, discrete"])
def test_where_the_environment_does_not_repeat_itself(name: str, tmp_path: Path) -> None:
    """The episode is cut, what was learned is there, and the attempt says so."""
    run = a_run(name)
    follow(train(run, stop=stop_at(41)), tmp_path)
    episode = tmp_path / "41" / "episode.safetensors"
    arrays = load_file(episode)
    save_file(arrays | {"frames": arrays["frames"] + 1}, episode)

    events = list(train(run, resume_from=tmp_path / "41"))

    assert isinstance(events[0], Started)
    assert not events[0].exact
    assert any(isinstance(e, CheckpointDue) for e in events)
    assert isinstance(events[-1], Finished)
