"""Acts with a downloaded policy, without the service: onnxruntime, numpy and this file.

    python act_alone.py FOLDER                        checks the golden pairs
    python act_alone.py FOLDER '[0.1, 0.2, 0.3]'      and prints an action, as JSON
    python act_alone.py FOLDER 314 --mask '[1, 0]'    of those that are allowed

FOLDER has `policy.onnx` and `policy.json` of a policy checkpoint. Exit code 1 if the policy does
not act here as it did in training. In a program of your own:

    policy = Policy(Path("policy"))
    action = policy.act(observation)

B is the number of observations, D the graph's inputs, A its outputs.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

FORMAT_VERSION = 1
# Of the largest number, where that is above 1.
TOLERANCE = 1e-5

Array = NDArray[Any]


class BrokenPolicy(Exception):
    """Not to be acted with."""


class Policy:
    def __init__(self, folder: Path) -> None:
        """Raises `BrokenPolicy` unless it acts here as it did in training."""
        try:
            self.manifest = json.loads((folder / "policy.json").read_text())
            self._session = onnxruntime.InferenceSession(
                (folder / "policy.onnx").read_bytes(), providers=["CPUExecutionProvider"]
            )
        except OSError:
            raise
        except Exception as error:  # onnxruntime's own have no common base
            raise BrokenPolicy(f"it cannot be read: {error}") from error
        if self.manifest["format_version"] != FORMAT_VERSION:
            version = self.manifest["format_version"]
            raise BrokenPolicy(f"its format is {version}, this file reads {FORMAT_VERSION}")
        self.observation_space = self.manifest["observation_space"]
        self.action_space = self.manifest["action_space"]
        self._check_golden()

    def act(self, observation: Any, mask: Sequence[int] | None = None) -> Any:
        """One observation as the environment gives it, or as JSON has it; pixels channel-first,
        and of the last frames a list, oldest first. The action is in the environment's units.

        `mask` has a 1 for each choice that is allowed, the choices of all components one after
        the other.
        """
        row = np.array(flatten(self.observation_space, observation), np.float32)
        masks = None if mask is None else np.array([mask], np.bool_)
        return to_environment(self.action_space, self._outputs(row[np.newaxis]), masks)[0]

    def _outputs(self, rows: Array) -> Array:
        """(B, D) -> (B, A)"""
        outputs: Array = self._session.run(["policy"], {"observation": rows})[0]
        return outputs

    def _check_golden(self) -> None:
        """What torch has computed for observations of real episodes."""
        golden = self.manifest["golden"]
        expected = np.array(golden["outputs"], np.float32)
        outputs = self._outputs(np.array(golden["observations"], np.float32))
        if outputs.shape != expected.shape or not outputs.size:
            raise BrokenPolicy(f"it gives {outputs.shape}, recorded are {expected.shape}")
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        off = float(np.abs(outputs - expected).max())
        if not off <= allowed:  # so written that NaN is refused
            raise BrokenPolicy(f"its outputs are off by {off:.2g}, allowed is {allowed:.2g}")
        # Of torch's outputs, so that two choices that are as good as equal stay what they were.
        actions = to_environment(self.action_space, expected).astype(float)
        recorded = np.array(golden["actions"], float)
        scale = TOLERANCE * max(1.0, float(np.abs(recorded).max()))
        if actions.shape != recorded.shape or not (np.abs(actions - recorded) <= scale).all():
            raise BrokenPolicy("its actions are not the recorded ones")


def flatten(space: Any, value: Any) -> list[float]:
    """(D,): numbers in C order, a choice as one-hot, parts one after the other."""
    match space["type"]:
        case "box" | "multi_binary":
            return _numbers(value, space["shape"])
        case "discrete":
            return _one_hot(space["n"], _numbers(value, ())[0] - space["start"])
        case "multi_discrete":
            chosen = np.array(_numbers(value, space["shape"])) - space["start"]
            hot = [_one_hot(n, each) for n, each in zip(space["nvec"], chosen, strict=True)]
            return [number for part in hot for number in part]
        case "tuple":
            parts = list(zip(space["spaces"], value, strict=True))
        case "dict":  # pairs, in the order of the network's input
            parts = [(part, value[key]) for key, part in space["spaces"]]
        case unknown:
            raise BrokenPolicy(f"its observations are of an unknown kind, {unknown!r}")
    return [number for part, each in parts for number in flatten(part, each)]


def _numbers(value: Any, shape: Sequence[int]) -> list[float]:
    array = np.asarray(value)
    if array.dtype.kind not in "iufb" or array.shape != tuple(shape):
        raise ValueError(f"expected numbers of shape {list(shape)}, got {str(value)[:80]}")
    numbers: list[float] = array.reshape(-1).tolist()
    return numbers


def _one_hot(size: int, index: float) -> list[float]:
    if index not in range(size):
        raise ValueError(f"expected a choice from 0 to {size - 1} after `start`, got {index}")
    return [float(each == index) for each in range(size)]


def to_environment(space: Any, outputs: Array, masks: Array | None = None) -> Array:
    """(B, A) -> (B, *shape), of the network's numbers or logits."""
    if space["type"] == "box" and space["dtype"] != "bool":
        if masks is not None:
            raise ValueError("a mask has no meaning for continuous actions: leave it out")
        return _scaled(space, outputs)
    sizes, starts, shape, dtype = _choices(space)
    if masks is not None:
        if masks.shape != outputs.shape:
            raise ValueError(f"a mask has {outputs.shape[1]} entries here, not {masks[0].size}")
        outputs = np.where(masks, outputs, -np.inf)
    columns, first = [], 0
    for size, start in zip(sizes, starts, strict=True):
        group = outputs[:, first : first + size]
        if np.isneginf(group).all(axis=1).any():
            raise ValueError("a mask must allow at least one choice of each component")
        columns.append(group.argmax(axis=1) + start)
        first += size
    return np.stack(columns, axis=1).astype(dtype).reshape(-1, *shape)


def _choices(space: Any) -> tuple[list[int], list[int], list[int], str]:
    """How many each component has, their least values, the action's shape and number type."""
    match space["type"]:
        case "discrete":
            return [space["n"]], [space["start"]], [], "int64"
        case "multi_discrete":
            return space["nvec"], space["start"], space["shape"], space["dtype"]
        case "multi_binary" | "box":
            size = math.prod(space["shape"])
            dtype = space.get("dtype", "int8")
            return [2] * size, [0] * size, space["shape"], dtype
    raise BrokenPolicy(f"its actions are of an unknown kind, {space['type']!r}")


def _scaled(space: Any, outputs: Array) -> Array:
    """From [-1, 1] to the bounds of each dimension, which are reached exactly; to the nearest
    integer, where the environment takes integers."""
    size = math.prod(space["shape"])
    low, high = (np.broadcast_to(np.array(space[key], float), size) for key in ("low", "high"))
    scaled = (low / 2 + high / 2) + (high / 2 - low / 2) * outputs
    if np.dtype(space["dtype"]).kind != "f":
        scaled = np.rint(scaled)
    scaled = np.clip(scaled, low, high)
    scaled = np.where(outputs >= 1, high, np.where(outputs <= -1, low, scaled))
    return scaled.astype(space["dtype"]).reshape(-1, *space["shape"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with policy.onnx and policy.json")
    parser.add_argument("observation", type=json.loads, nargs="?", help="JSON")
    parser.add_argument("--mask", type=json.loads, help="JSON: 1 for each choice that is allowed")
    options = parser.parse_args()
    try:
        policy = Policy(options.folder)
        pairs = len(policy.manifest["golden"]["outputs"])
        print(f"{pairs} golden pairs hold", file=sys.stderr)
        if options.observation is not None:
            action = policy.act(options.observation, options.mask)
            print(json.dumps(np.asarray(action).tolist()))
    except BrokenPolicy as error:
        print(f"this policy is not to be acted with: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
