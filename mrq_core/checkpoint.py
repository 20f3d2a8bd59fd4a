"""A run on disk, complete: safetensors and JSON, so that nothing is executed by loading it.

agent.safetensors    networks, optimisers' moments, the noise generator's state
replay*.safetensors  the filled slots; see `segments.py`
episode.safetensors  the actions of the episode under way, and the frames (and mask) they led to
state.json           what run it is, counters, the other generators, the running means
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from mrq_core.agent import Agent
from mrq_core.errors import ResumeError, TrainingError
from mrq_core.layout import AGENT, EPISODE, GENERATOR, STATE
from mrq_core.layout import CHECKPOINT_FORMAT_VERSION as CHECKPOINT_FORMAT_VERSION
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed
from mrq_core.segments import load_replay, save_replay

if TYPE_CHECKING:
    from mrq_core.baselines.session import BaselineSession
    from mrq_core.session import Episode, Session

Arrays = dict[str, NDArray[Any]]


def save(session: Session, directory: Path, previous: Path | None = None) -> None:
    """See `TrainingState.save`."""
    replay, episode = session.replay, session.episode
    state = {
        **head_of(session, session.agent.device.type),
        "agent": _counters(session.agent),
        "replay": save_replay(replay, directory, previous),
        "replay_rng": replay.rng.bit_generator.state,
        "warmup_rng": session.warmup_rng.bit_generator.state,
        "progress": session.progress.to_json(),
    }
    save_file(_agent_arrays(session.agent), directory / AGENT)
    reached = {"actions": np.array(episode.actions)} | place_of(episode)
    save_file(reached, directory / EPISODE)
    (directory / STATE).write_text(json.dumps(state, indent=1))


def restore(session: Session, directory: Path) -> bool:
    """`session` is one that has just begun. False: see `Session.resume`."""
    with said_to_be_unreadable(directory):
        state = json.loads((directory / STATE).read_text())
        require_same_run(session.run, state)
        _restore_learning(session, state, directory)
        arrays = load_file(directory / EPISODE)
        came_back = replay_episode(session, state["episode"], arrays)
        return came_back and state["device"] == session.agent.device.type


def head_of(session: Session | BaselineSession, device: str) -> dict[str, Any]:
    """What the state of every run says."""
    episode = session.episode
    return {
        "format_version": CHECKPOINT_FORMAT_VERSION,
        "spec": session.run.spec(),
        "spec_sha256": session.run.spec_sha256(),
        "versions": versions(),
        "step": session.step,
        # JSON has no infinity.
        "best_return": session.best_return if math.isfinite(session.best_return) else None,
        "device": device,
        "episode": {"index": episode.index, "total_reward": episode.total_reward},
    }


@contextmanager
def said_to_be_unreadable(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        told = f"{type(error).__name__}: {error}"
        raise ResumeError(f"the checkpoint in {directory.name} is not readable: {told}") from error


def require_same_run(run: TrainingRun, state: Mapping[str, Any]) -> None:
    version = state["format_version"]
    if version != CHECKPOINT_FORMAT_VERSION:
        reads = f"this version reads {CHECKPOINT_FORMAT_VERSION}"
        raise ResumeError(f"the checkpoint has format version {version}; {reads}")
    if state["spec_sha256"] != run.spec_sha256():
        theirs, ours = state["spec"], json.loads(json.dumps(run.spec()))
        other = [key for key in ours if theirs.get(key) != ours[key]]
        raise ResumeError(f"the checkpoint is of another run: {', '.join(other)} differ")
    if state["step"] > run.total_steps:
        asked = f"the run asks for {run.total_steps} in all"
        raise ResumeError(f"the checkpoint is at step {state['step']}; {asked}")


def _restore_learning(session: Session, state: Mapping[str, Any], directory: Path) -> None:
    session.step = state["step"]
    best = state.get("best_return")  # not in checkpoints of releases without a target
    session.best_return = -math.inf if best is None else best
    agent = session.agent
    arrays = load_file(directory / AGENT)
    load_agent(agent, arrays)
    if state["device"] == agent.device.type:
        agent.generator.set_state(torch.from_numpy(arrays[GENERATOR]))
    else:  # whose generators have another kind of state
        agent.generator.manual_seed(derive_seed(session.run.seed, "noise", session.step))
    for name, value in state["agent"].items():
        assert hasattr(agent, name)
        setattr(agent, name, value)
    load_replay(session.replay, state["replay"], directory)
    session.replay.rng.bit_generator.state = state["replay_rng"]
    session.warmup_rng.bit_generator.state = state["warmup_rng"]
    session.progress.restore(state["progress"])


def replay_episode(
    session: Session | BaselineSession, saved: Mapping[str, Any], arrays: Arrays
) -> bool:
    """Environments cannot be saved, but the same seed and actions lead to the same place."""
    episode = session.begin_episode(saved["index"])
    for action in arrays["actions"]:
        try:
            outcome = session.environment.step(action, session.step)
        except TrainingError:
            break  # another state than it was, where the action makes no sense
        episode.see(outcome)
        session.alive()
        episode.actions.append(action)
        if outcome.terminated or outcome.truncated:
            break
    stored = {name: array for name, array in arrays.items() if name != "actions"}
    exact = len(episode.actions) == len(arrays["actions"]) and _same(place_of(episode), stored)
    episode.total_reward = saved["total_reward"]
    session.episode = episode
    if not exact:
        episode.observation, episode.mask = stored["frames"][-1], stored.get("mask")
        session.cut_episode()
    return exact


def place_of(episode: Episode) -> Arrays:
    """Where it stands, as far as can be seen."""
    place: Arrays = {"frames": episode.history.frames}
    return place if episode.mask is None else place | {"mask": episode.mask}


def _same(arrays: Arrays, others: Arrays) -> bool:
    """To the bit, so that also NaN is itself."""
    return arrays.keys() == others.keys() and all(
        array.tobytes() == others[name].tobytes() for name, array in arrays.items()
    )


def _counters(agent: Agent) -> dict[str, float]:
    names = ("training_steps", "reward_scale", "target_reward_scale")
    return {name: getattr(agent, name) for name in names}


def _agent_arrays(agent: Agent) -> Arrays:
    # safetensors takes the memory as it lies there, and convolutions' weights lie channels-last.
    arrays = {n: t.detach().cpu().contiguous().numpy() for n, t in _tensors(agent).items()}
    return arrays | {GENERATOR: agent.generator.get_state().numpy()}


def everything(_name: str) -> bool:
    return True


def load_agent(agent: Agent, arrays: Arrays, part: Callable[[str], bool] = everything) -> None:
    """The tensors whose names are `part` of it. ValueError for one of another form."""
    with torch.no_grad():
        for name, tensor in _tensors(agent).items():
            if not part(name):
                continue
            saved = torch.from_numpy(arrays[name])
            if (saved.shape, saved.dtype) != (tensor.shape, tensor.dtype):
                expected = f"expected {tensor.dtype} {tuple(tensor.shape)}"
                raise ValueError(f"{name} is {saved.dtype} {tuple(saved.shape)}, {expected}")
            tensor.copy_(saved)


def _tensors(agent: Agent) -> dict[str, Tensor]:
    """All of the agent's memory, under the names it has on disk."""
    tensors = {
        f"{name}/{key}": tensor
        for name, network in agent.networks().items()
        for key, tensor in network.state_dict().items()
    }
    for name, optimizer in agent.optimizers().items():
        for index, parameter in enumerate(agent.networks()[name].parameters()):
            for key, tensor in optimizer.state[parameter].items():
                tensors[f"optimizer/{name}/{index}/{key}"] = tensor
    return tensors


def versions() -> dict[str, str]:
    """For the reader: exact resume is promised for the same ones only."""
    modules = {"torch": torch, "numpy": np, "gymnasium": gymnasium}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"python": platform.python_version(), "machine": platform.machine()} | versions
