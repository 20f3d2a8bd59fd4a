"""What a client may ask to know beside the action: `return` of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.refusals import ActRefused
from app.serving.bundle import Actor, Reals
from app.serving.masks import Masks
from app.serving.policies import LivePolicy, LoadedPolicies
from app.serving.requests import ActRequest
from app.serving.world import LiveWorld, Outcome
from mrq_core.actions import ActionCodec
from mrq_core.spaces import Floats

NOTHING: Mapping[str, Any] = {}
# Pairs of state and action in one question: about 50 us each at the paper's size.
MAX_PAIRS = 2048
_OF_THE_MODEL = frozenset({"q", "reward", "termination"})


@dataclass(frozen=True)
class Chosen:
    outputs: Floats  # of the network, (B, A)
    actions: NDArray[Any]  # (B, ...)
    drawn: Reals | None
    masks: Masks | None


class Details:
    """Of one request: the policy, what was asked of it, and what it chose."""

    def __init__(
        self, policies: LoadedPolicies, policy: LivePolicy, rows: Floats, until: int | None
    ) -> None:
        self.policies = policies
        self.policy = policy
        self.rows = rows
        self.until = until

    async def found(self, asked: ActRequest, chosen: Chosen) -> dict[str, Any]:
        """Of a batch, a list for each name; JSON values."""
        found: dict[str, list[Any]] = {}
        if "probability" in asked.returns:
            found |= _chances(self.policy.actor, chosen)
        if asked.returns - {"probability"}:
            zs = await embed(self.policy, self.rows, self.until)
            if "latent" in asked.returns:
                found["latent"] = zs.tolist()
            if wanted := asked.returns & _OF_THE_MODEL:
                found |= await self._predicted(zs, chosen.actions, wanted)
        return found if asked.is_batch else {name: values[0] for name, values in found.items()}

    async def _predicted(
        self, zs: Floats, actions: NDArray[Any], wanted: frozenset[str]
    ) -> dict[str, list[Any]]:
        world = await world_of(self.policies, self.policy, param="return")
        taken = network_actions(self.policy.actor.codec, actions)
        outcome = await world.ask(zs, taken, self.until)
        found: dict[str, list[Any]] = {}
        if "q" in wanted:
            each = await self._values_of_each(world, zs)
            found["q"] = [_q(*pair) for pair in zip(outcome.q.tolist(), each, strict=True)]
        if "reward" in wanted:
            found["reward"] = outcome.reward.tolist()
        if "termination" in wanted:
            found["termination"] = outcome.termination.tolist()
        return found

    async def _values_of_each(self, world: LiveWorld, zs: Floats) -> list[list[float] | None]:
        """(B, A) of a Discrete action: the lesser of the two heads for each choice, whether it is
        allowed or not."""
        codec = self.policy.actor.codec
        if len(codec.components) != 1:
            return [None] * len(zs)
        choices = codec.action_dim
        _require_few_pairs(len(zs), choices)
        every = np.tile(np.eye(choices, dtype=np.float32), (len(zs), 1))
        outcome = await world.ask(np.repeat(zs, choices, axis=0), every, self.until)
        values: list[list[float] | None] = [
            row.tolist() for row in least(outcome).reshape(len(zs), choices)
        ]
        return values


def least(outcome: Outcome) -> Floats:
    """(B,): of the two heads, which is what the policy was trained on."""
    lesser: Floats = outcome.q.min(axis=1)
    return lesser


def network_actions(codec: ActionCodec, actions: NDArray[Any]) -> Floats:
    """(B, ...) in the environment's units -> (B, A)."""
    return np.stack([codec.from_environment(action) for action in actions])


async def embed(policy: LivePolicy, rows: Floats, until: int | None = None) -> Floats:
    """(B, D) -> (B, Z)"""
    if policy.latent is None:
        text = "This policy has no embedding: it is an earlier release's export or not MR.Q's."
        raise ActRefused("return_unavailable", text, param="return")
    return (await policy.latent.submit(rows, until)).outputs


async def world_of(policies: LoadedPolicies, policy: LivePolicy, param: str) -> LiveWorld:
    world = await policies.world_of(policy)
    if world is None:
        text = "This policy has no model: it is an earlier release's export or not MR.Q's."
        raise ActRefused("return_unavailable", text, param=param)
    return world


def _q(heads: list[float], each: list[float] | None) -> dict[str, Any]:
    named = {"q1": heads[0], "q2": heads[1], "min": min(heads)}
    return named if each is None else named | {"per_action": each}


def _require_few_pairs(observations: int, choices: int) -> None:
    if observations * choices > MAX_PAIRS:
        text = (
            f"return=['q'] of {observations} observations with {choices} actions each asks for "
            f"{observations * choices} values; at most {MAX_PAIRS} are allowed: send fewer "
            "observations at a time."
        )
        raise ActRefused("return_too_large", text, param="return")


def _chances(actor: Actor, chosen: Chosen) -> dict[str, list[Any]]:
    """A discrete action has a probability. A continuous one has none, but the noise that was drawn
    for it, in the network's units and before it is cut off at the bounds."""
    nothing = [None] * len(chosen.actions)
    if actor.codec.discrete:
        chances = actor.probability(chosen.outputs, chosen.actions, chosen.masks)
        return {"probability": chances.tolist(), "noise": nothing}
    noise = nothing if chosen.drawn is None else (actor.noise * chosen.drawn).tolist()
    return {"probability": nothing, "noise": noise}
