"""Compares every number of the reference cases with ours, in float64 and in float32.

The relative error of an array is its largest absolute difference, divided by the largest absolute
value in the reference (or by 1 where that is all zeros). Run: python -m benchmarks.parity
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mrq_core.agent import Agent, Noise
from mrq_core.augmentation import shift
from mrq_core.config import Hyperparameters
from mrq_core.replay import EncoderBatch, ValueBatch
from mrq_core.two_hot import TwoHot

ROOT = Path(__file__).parent.parent
# The case with images is too large for the repository (6 MB) and lies beside it.
FOLDERS = (ROOT / "tests" / "reference", ROOT.parent / "shared" / "reference")
CASES = ("continuous", "continuous_terminals", "discrete", "pixels_discrete")
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
UPDATES = 3
SHIFT_PAD = 4

Case = Mapping[str, NDArray[Any]]
Errors = dict[str, float]

# Our parameter names, and the reference's.
_ENCODER = {
    **{f"state.layers.{i}": f"zs_mlp.l{i + 1}" for i in range(3)},
    **{f"state.convolutions.{i}": f"zs_cnn{i + 1}" for i in range(4)},
    "state.projection": "zs_lin",
    "za": "za",
    "zsa1": "zsa.l1",
    "zsa2": "zsa.l2",
    "zsa3": "zsa.l3",
}
_POLICY = {"layers.0": "policy.l1", "layers.1": "policy.l2", "output": "policy.l3"}
_VALUE = {"layers.0": "q1.l1", "layers.1": "q1.l2", "layers.2": "q1.l3", "output": "q2"}


def main() -> int:
    good = True
    for dtype, tolerance in TOLERANCES.items():
        worst = {name: max(case_errors(name, dtype).values()) for name in CASES}
        worst["two_hot"] = max(two_hot_errors(dtype).values())
        for name, error in worst.items():
            verdict = "ok" if error <= tolerance else "TOO LARGE"
            print(f"{name:22} {str(dtype)[6:]} worst relative error {error:.1e}  {verdict}")
            good &= error <= tolerance
    differing = shift_difference()
    print(f"{'random_shift':22} uint8   differing pixels {differing}  {'NOT ' * bool(differing)}ok")
    return int(not good or differing > 0)


def load(name: str) -> dict[str, NDArray[Any]]:
    """FileNotFoundError if it lies in none of the folders."""
    for folder in FOLDERS:
        if (folder / f"{name}.npz").exists():
            return dict(np.load(folder / f"{name}.npz"))
    raise FileNotFoundError(f"{name}.npz is in none of {', '.join(map(str, FOLDERS))}")


def case_errors(name: str, dtype: torch.dtype = torch.float64) -> Errors:
    """Three encoder and three value-and-policy updates: losses, values and all parameters."""
    case: Case = {key: _cast(value, dtype) for key, value in load(name).items()}
    agent = _agent(case, discrete="discrete" in name, dtype=dtype)
    seen = name != "continuous"
    return _encoder_errors(agent, case, seen) | _value_errors(agent, case)


def _cast(value: NDArray[Any], dtype: torch.dtype) -> NDArray[Any]:
    floating = value.dtype == np.float64
    return value.astype(np.float32) if floating and dtype == torch.float32 else value


def shift_difference() -> int:
    """How many pixels of the reference's shifted images ours differ in."""
    case = {key: torch.from_numpy(value) for key, value in load("random_shift").items()}
    ours = shift(case["image"], case["shift_xy"], SHIFT_PAD)
    return int((ours != case["shifted"]).sum())


def two_hot_errors(dtype: torch.dtype = torch.float64) -> Errors:
    case: Case = {key: _cast(value, dtype) for key, value in load("two_hot").items()}
    two_hot = TwoHot(65, 10.0, torch.device("cpu"), dtype)
    reference = {key: torch.from_numpy(case[key]) for key in case}
    return {
        "bins": _error(two_hot.bins, case["bins"]),
        "two_hot": _error(two_hot.encode(reference["x"]), case["two_hot"]),
        "decoded": _error(two_hot.decode(reference["logits"]), case["decoded"][:, 0]),
    }


def _agent(case: Case, *, discrete: bool, dtype: torch.dtype) -> Agent:
    h = Hyperparameters(
        zs_dim=16,
        zsa_dim=24,
        za_dim=8,
        encoder_hidden_dim=20,
        value_hidden_dim=28,
        policy_hidden_dim=12,
        batch_size=8,
    )
    input_shape, action_dim = case["rl/0/state"].shape[1:], case["rl/0/action"].shape[-1]
    components = (action_dim,) if discrete else ()
    agent = Agent(h, input_shape, action_dim, components=components, seed=0, dtype=dtype)
    for name, network in agent.networks().items():
        network.load_state_dict(_parameters(case, f"init/{name}", network))
    agent.reward_scale, agent.target_reward_scale = 1.7, 0.9
    return agent


def _encoder_errors(agent: Agent, case: Case, terminations_seen: bool) -> Errors:
    errors = {}
    for i in range(UPDATES):
        part = {key: torch.from_numpy(case[f"encoder/{i}/{key}"]) for key in _ENCODER_INPUTS}
        batch = EncoderBatch(
            state=part["state"][:, 0],
            action=part["action"],
            next_state=part["next_state"],
            reward=part["reward"].squeeze(-1),
            terminated=part["not_done"].squeeze(-1) == 0,
            terminations_seen=terminations_seen,
        )
        loss = agent.update_encoder(batch).loss
        errors[f"encoder/{i}/loss"] = _error(loss, case[f"encoder/{i}/loss"])
    return errors | _parameter_errors(agent, case, "after_encoder")


def _value_errors(agent: Agent, case: Case) -> Errors:
    errors: Errors = {}
    for i in range(UPDATES):
        prefix = f"rl/{i}"
        part = {key.split("/")[-1]: case[key] for key in case if key.startswith(f"{prefix}/")}
        ours = _value_update(agent, {key: torch.from_numpy(part[key]) for key in part})
        errors |= {
            f"{prefix}/{key}": _error(value, part[key].reshape(value.shape))
            for key, value in ours.items()
        }
    return errors | _parameter_errors(agent, case, "after_rl")


def _value_update(agent: Agent, part: Mapping[str, Tensor]) -> dict[str, Tensor]:
    batch = ValueBatch(
        state=part["state"],
        action=part["action"],
        next_state=part["next_state"],
        reward=part["reward"].squeeze(-1),
        terminated=part["not_done"].squeeze(-1) == 0,
    )
    none = torch.zeros(())
    gumbel = (part.get("gumbel_target", none), part.get("gumbel_policy", none))
    noise = Noise(part["target_noise"], *gumbel)
    value = agent.update_value(batch, noise)
    return {
        "n_step_return": value.n_step_return,
        "n_step_not_done": value.n_step_continues.double(),
        "Q": value.q,
        "Q_target": value.target,
        "priority": value.priority,
        "value_loss": value.loss,
        "policy_loss": agent.update_policy(value.zs, noise),
    }


_ENCODER_INPUTS = ("state", "action", "next_state", "reward", "not_done")


def _parameter_errors(agent: Agent, case: Case, stage: str) -> Errors:
    return {
        f"{stage}/{name}/{key}": _error(ours, reference.numpy())
        for name, network in agent.networks().items()
        for (key, reference), ours in zip(
            _parameters(case, f"{stage}/{name}", network).items(),
            network.state_dict().values(),
            strict=True,
        )
    }


def _parameters(case: Case, prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """The reference's parameters under our names, in the order of our state dict."""
    return {key: _parameter(case, prefix, key) for key in network.state_dict()}


def _parameter(case: Case, prefix: str, key: str) -> Tensor:
    layer, kind = key.rsplit(".", 1)
    if layer in ("next_zs", "outcome"):
        # The reference's rows: termination, next zs, reward logits.
        model = case[f"{prefix}/model.{kind}"]
        rows = model[1:17] if layer == "next_zs" else np.concatenate([model[:1], model[17:]])
        return torch.from_numpy(rows)
    if "value" not in prefix:
        names = _ENCODER if "encoder" in prefix.split("/")[1] else _POLICY
        return torch.from_numpy(case[f"{prefix}/{names[layer]}.{kind}"])
    heads = np.stack([case[f"{prefix}/{head}.{_VALUE[layer]}.{kind}"] for head in ("q1", "q2")])
    # Ours multiply from the right: (heads, in, out), biases (heads, 1, out).
    return torch.from_numpy(heads.swapaxes(1, 2) if kind == "weight" else heads[:, None])


def _error(ours: Tensor, reference: NDArray[Any]) -> float:
    assert ours.shape == reference.shape
    scale = float(np.abs(reference).max()) or 1.0
    return float(np.abs(ours.numpy() - reference).max()) / scale


if __name__ == "__main__":
    sys.exit(main())
