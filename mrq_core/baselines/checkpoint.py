"""A baseline's run on disk; as `mrq_core.checkpoint`, with one file for all that is remembered.

state.json           what run it is, counters, generators
agent.safetensors    networks, optimisers' moments, torch's generator
replay.safetensors   the replay, or the rollout under way
episode.safetensors  the actions of the episode under way, and the frames (and mask) they led to
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save_file

from mrq_core.checkpoint import (
    head_of,
    place_of,
    replay_episode,
    require_same_run,
    said_to_be_unreadable,
)
from mrq_core.layout import AGENT, EPISODE, LOOSE, STATE

if TYPE_CHECKING:
    from mrq_core.baselines.session import BaselineSession


def save(session: BaselineSession, directory: Path) -> None:
    episode = session.episode
    learned, remembered, numbers = session.learner.save()
    state = {
        **head_of(session, session.run.device_type),
        "learner": numbers,
        "progress": session.course.progress.to_json(),
    }
    save_file({k: np.ascontiguousarray(v) for k, v in learned.items()}, directory / AGENT)
    save_file({k: np.ascontiguousarray(v) for k, v in remembered.items()}, directory / LOOSE)
    save_file({"actions": np.array(episode.actions)} | place_of(episode), directory / EPISODE)
    (directory / STATE).write_text(json.dumps(state, indent=1))


def restore(session: BaselineSession, directory: Path) -> bool:
    """See `Session.resume`."""
    with said_to_be_unreadable(directory):
        state = json.loads((directory / STATE).read_text())
        require_same_run(session.run, state)
        session.course.step = state["step"]
        best = state["best_return"]
        session.best_return = -math.inf if best is None else best
        remembered = load_file(directory / LOOSE)
        session.learner.restore(load_file(directory / AGENT), remembered, state["learner"])
        session.course.progress.restore(state["progress"])
        reached = load_file(directory / EPISODE)
        came_back = replay_episode(session, state["episode"], reached)
        session.learner.resumed(exact=came_back)
        return came_back and state["device"] == session.run.device_type
