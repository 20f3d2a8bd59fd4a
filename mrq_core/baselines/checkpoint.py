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
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mrq_core.checkpoint import place_of, replay_episode, require_same_run, versions
from mrq_core.errors import ResumeError
from mrq_core.layout import AGENT, CHECKPOINT_FORMAT_VERSION, EPISODE, LOOSE, STATE

if TYPE_CHECKING:
    from mrq_core.baselines.session import BaselineSession


def save(session: BaselineSession, directory: Path) -> None:
    episode = session.episode
    learned, remembered, numbers = session.learner.save()
    state = {
        "format_version": CHECKPOINT_FORMAT_VERSION,
        "spec": session.run.spec(),
        "spec_sha256": session.run.spec_sha256(),
        "versions": versions(),
        "step": session.step,
        "best_return": session.best_return if math.isfinite(session.best_return) else None,
        "device": session.run.device_type,
        "learner": numbers,
        "progress": session.course.progress.to_json(),
        "episode": {"index": episode.index, "total_reward": episode.total_reward},
    }
    save_file({k: np.ascontiguousarray(v) for k, v in learned.items()}, directory / AGENT)
    save_file({k: np.ascontiguousarray(v) for k, v in remembered.items()}, directory / LOOSE)
    save_file({"actions": np.array(episode.actions)} | place_of(episode), directory / EPISODE)
    (directory / STATE).write_text(json.dumps(state, indent=1))


def restore(session: BaselineSession, directory: Path) -> bool:
    """See `Session.resume`."""
    try:
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
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        told = f"{type(error).__name__}: {error}"
        raise ResumeError(f"the checkpoint in {directory.name} is not readable: {told}") from error
