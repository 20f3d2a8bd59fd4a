"""What a model of Stable-Baselines3 has in mind, as arrays and plain numbers: the library's own
files are pickles, and reading one executes what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mrq_core.checkpoint import Arrays

REPLAY_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
ROLLOUT_COLUMNS = (
    "observations",
    "actions",
    "rewards",
    "episode_starts",
    "values",
    "log_probs",
)
_COUNTERS = ("num_timesteps", "_n_calls", "_n_updates", "_episode_num", "exploration_rate")


def networks(model: Any) -> Arrays:
    """With their targets, and SAC's temperature."""
    found = {f"policy/{name}": tensor for name, tensor in model.policy.state_dict().items()}
    _, variables = model._get_torch_save_params()
    found |= {name: attrgetter(name)(model) for name in variables}
    return {name: _array(tensor) for name, tensor in found.items()}


def learned(model: Any) -> Arrays:
    """The networks and the moments of their optimisers."""
    moments = {
        f"{name}/{index}/{key}": _array(tensor)
        for name, optimizer in _optimizers(model)
        for index, state in optimizer.state_dict()["state"].items()
        for key, tensor in state.items()
    }
    return networks(model) | moments


def restore(model: Any, arrays: Arrays, numbers: Mapping[str, Any]) -> None:
    """KeyError or RuntimeError where they do not fit."""
    state = {name: torch.from_numpy(arrays[f"policy/{name}"]) for name in model.policy.state_dict()}
    model.policy.load_state_dict(state)
    _, variables = model._get_torch_save_params()
    with torch.no_grad():
        for name in variables:
            attrgetter(name)(model).copy_(torch.from_numpy(arrays[name]))
    for name, optimizer in _optimizers(model):
        moments: dict[int, dict[str, Tensor]] = {}
        for full_name, array in arrays.items():
            if full_name.startswith(f"{name}/"):
                index, key = full_name.removeprefix(f"{name}/").split("/")
                moments.setdefault(int(index), {})[key] = torch.from_numpy(array)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
    for name, value in numbers.items():
        assert hasattr(model, name)
        setattr(model, name, value)


def counters(model: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)}


def parameter_count(model: Any) -> int:
    """Trained ones: those that an optimiser has."""
    groups = [group for _, opt in _optimizers(model) for group in opt.param_groups]
    return sum(p.numel() for group in groups for p in group["params"])


def fill(buffer: Any, columns: tuple[str, ...], arrays: Arrays, place: Mapping[str, Any]) -> None:
    rows = buffer.buffer_size if place["full"] else place["pos"]
    for name in columns:
        getattr(buffer, name)[:rows] = arrays[name]
    buffer.pos, buffer.full = place["pos"], place["full"]


def generators(model: Any) -> Arrays:
    """torch's, as bytes."""
    found = {"generator": torch.get_rng_state().numpy()}
    if model.device.type == "cuda":
        found["generator_cuda"] = torch.cuda.get_rng_state(model.device).numpy()
    return found


def drawn(model: Any) -> dict[str, Any]:
    """The other generators, as JSON: NumPy's global one, and the random actions'."""
    numpy = dict(np.random.get_state(legacy=False))
    numpy["state"] = {**numpy["state"], "key": numpy["state"]["key"].tolist()}
    return {"numpy": numpy, "actions": model.action_space.np_random.bit_generator.state}


def set_generators(model: Any, arrays: Arrays, drawn: Mapping[str, Any]) -> None:
    torch.set_rng_state(torch.from_numpy(arrays["generator"]))
    if model.device.type == "cuda" and "generator_cuda" in arrays:
        state = torch.from_numpy(arrays["generator_cuda"])
        torch.cuda.set_rng_state(state, model.device)
    numpy = dict(drawn["numpy"])
    numpy["state"] = {**numpy["state"], "key": np.array(numpy["state"]["key"], np.uint32)}
    np.random.set_state(numpy)
    model.action_space.np_random.bit_generator.state = drawn["actions"]


def _optimizers(model: Any) -> Iterator[tuple[str, torch.optim.Optimizer]]:
    names, _ = model._get_torch_save_params()
    for name in names:
        found = attrgetter(name)(model)
        if isinstance(found, torch.optim.Optimizer):
            yield name, found


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().numpy()
