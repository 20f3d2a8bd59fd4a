"""A new run that begins with what another one has learnt.

`weights`: the networks, and the scales in whose units the value networks speak. `all`: also the
optimisers' moments, the replay and its priorities, so that learning goes on from the first step.
Steps, episodes, evaluations and every generator of random numbers are the new run's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load_file

from mrq_core.checkpoint import Arrays, load_agent
from mrq_core.config import REPLAY_SETTINGS
from mrq_core.errors import ResumeError
from mrq_core.layout import AGENT, CHECKPOINT_FORMAT_VERSION, STATE
from mrq_core.segments import load_replay

if TYPE_CHECKING:
    from mrq_core.session import Session

SCALES = ("reward_scale", "target_reward_scale")


def begin_from(session: Session, directory: Path) -> None:
    """`session` is one that has just begun, and its run says what to load. ResumeError that names
    what does not fit."""
    start = session.run.warm_start
    assert start is not None, "the run says what to load"
    try:
        state = json.loads((directory / STATE).read_text())
        _require_readable(state)
        arrays = load_file(directory / AGENT)
        if start.load == "all":
            _require_same_replay(session, state)
            load_agent(session.agent, arrays)
            session.agent.training_steps = state["agent"]["training_steps"]
            _take_replay(session, state, directory)
        else:
            load_agent(session.agent, arrays, part=_is_network)
        for name in SCALES:
            setattr(session.agent, name, state["agent"][name])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        told = f"{type(error).__name__}: {error}"
        raise ResumeError(f"nothing can begin from {directory.name}: {told}") from error


def _require_readable(state: Mapping[str, Any]) -> None:
    version = state["format_version"]
    if version != CHECKPOINT_FORMAT_VERSION:
        reads = f"this version reads {CHECKPOINT_FORMAT_VERSION}"
        raise ResumeError(f"the checkpoint has format version {version}; {reads}")


def _require_same_replay(session: Session, state: Mapping[str, Any]) -> None:
    theirs = state["spec"]["hyperparameters"]
    ours = session.run.spec()["hyperparameters"]
    other = [name for name in REPLAY_SETTINGS if theirs[name] != ours[name]]
    if other:
        told = ", ".join(f"{name} is {ours[name]}, there {theirs[name]}" for name in other)
        raise ResumeError(f"its replay does not fit: {told}; load the weights alone")


def _take_replay(session: Session, state: Mapping[str, Any], directory: Path) -> None:
    """The episode that was under way there ends where it stood, as at a time limit."""
    replay = session.replay
    load_replay(replay, state["replay"], directory)
    if replay.episode_length > 0:
        place: Arrays = load_file(directory / "episode.safetensors")
        replay.cut_episode(place["frames"][-1], place.get("mask"))


def _is_network(name: str) -> bool:
    return not name.startswith("optimizer/")
