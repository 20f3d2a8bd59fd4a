"""The model that a policy learnt of its world, checked and ready to be asked.

B is the number of pairs of state and action, Z the numbers of an embedding, A those of an action.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.refusals import PolicyBroken
from app.serving.batching import MicroBatcher
from app.serving.bundle import TOLERANCE, Actor, open_session
from mrq_core.spaces import Floats

# What the graph gives, side by side in this order; the embedding takes the rest.
_OUTPUTS = ("q", "reward", "termination", "next_zs")
HEADS = 2


class Outcome:
    """Of B pairs."""

    __slots__ = ("next_zs", "q", "reward", "termination")

    def __init__(self, columns: Floats) -> None:
        self.q = columns[:, :HEADS]  # (B, 2), in units of return
        self.reward = columns[:, HEADS]  # (B,), in the environment's units
        # (B,): a number that was fitted to 0 and 1, and not always between them.
        self.termination = np.clip(columns[:, HEADS + 1], 0.0, 1.0)
        self.next_zs = columns[:, HEADS + 2 :]  # (B, Z)


class World:
    def __init__(self, session: Any, told: Mapping[str, Any]) -> None:
        self._session = session
        self.trained_horizon: int = told["trained_horizon"]
        self.discount: float = told["discount"]

    def forward(self, pairs: Floats) -> Floats:
        """(B, Z + A) -> (B, 4 + Z): one array each, so that requests can share a pass."""
        zs_dim = self.zs_dim
        feed = {"zs": pairs[:, :zs_dim], "action": pairs[:, zs_dim:]}
        outputs: Floats = np.concatenate(self._session.run(_OUTPUTS, feed), axis=1)
        return outputs

    @property
    def zs_dim(self) -> int:
        width: int = self._session.get_inputs()[0].shape[1]
        return width

    @property
    def width(self) -> int:
        return sum(int(each.shape[1]) for each in self._session.get_inputs())


class LiveWorld:
    def __init__(self, world: World, batcher: MicroBatcher, size_bytes: int) -> None:
        self.trained_horizon = world.trained_horizon
        self.discount = world.discount
        self.size_bytes = size_bytes
        self._batcher = batcher

    async def ask(self, zs: Floats, actions: Floats, until: int | None = None) -> Outcome:
        """(B, Z) and the network's actions (B, A)."""
        pairs = np.concatenate([zs, actions], axis=1, dtype=np.float32)
        forwarded = await self._batcher.submit(pairs, until)
        return Outcome(forwarded.outputs)


def open_world(graph: bytes, manifest: Mapping[str, Any], actor: Actor, name: str) -> World:
    """Raises `PolicyBroken` unless it predicts here what it predicted in training."""
    told = manifest["model"]
    if hashlib.sha256(graph).hexdigest() != told["sha256"]:
        raise _broken(name, "its bytes do not have the recorded sha256")
    try:
        world = World(open_session(graph), told)
        errors = _errors(world, told["golden"], manifest["golden"]["observations"], actor)
    except Exception as error:  # ONNX Runtime's own have no common base
        raise _broken(name, "ONNX Runtime cannot run it") from error
    for what, off in errors.items():
        if not off <= TOLERANCE:  # so written that NaN is refused
            raise _broken(name, f"its {what} is off by {off:.2g} of the largest one")
    return world


def _errors(
    world: World, golden: Mapping[str, Any], observations: list[Any], actor: Actor
) -> dict[str, float]:
    assert actor.latent is not None, "what has a model has an embedding"
    zs = actor.latent(np.array(observations, np.float32))
    actions = np.array(golden["actions"], np.float32)
    first = world.forward(np.concatenate([zs, actions], axis=1))
    second = world.forward(np.concatenate([first[:, HEADS + 2 :], actions], axis=1))
    given: dict[str, NDArray[Any]] = {
        "q": first[:, :HEADS],
        "reward": first[:, HEADS : HEADS + 1],
        "termination": first[:, HEADS + 1 : HEADS + 2],
        "next_q": second[:, :HEADS],
    }
    return {name: _error(values, np.array(golden[name])) for name, values in given.items()}


def _error(given: NDArray[Any], recorded: NDArray[Any]) -> float:
    """Relative to the largest where that is above 1."""
    if given.shape != recorded.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        return float(np.abs(given - recorded).max() / max(1.0, float(np.abs(recorded).max())))


def _broken(name: str, why: str) -> PolicyBroken:
    return PolicyBroken(
        f"The model of policy {name} is not served, for {why}.", param="reference", why=why
    )
