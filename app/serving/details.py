"""What a client may ask to know beside the action: `return` of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from app.refusals import ActRefused
from app.serving.bundle import Actor, Reals
from app.serving.masks import Masks
from app.serving.policies import LivePolicy
from app.serving.requests import ActRequest
from mrq_core.spaces import Floats

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Chosen:
    outputs: Floats  # of the network, (B, A)
    actions: NDArray[Any]  # (B, ...)
    drawn: Reals | None
    masks: Masks | None


async def details(
    policy: LivePolicy, asked: ActRequest, rows: Floats, chosen: Chosen, until: int | None
) -> dict[str, Any]:
    """Of a batch, a list for each name; JSON values."""
    found: dict[str, list[Any]] = {}
    if "probability" in asked.returns:
        found |= _chances(policy.actor, chosen)
    if "latent" in asked.returns:
        if policy.latent is None:
            text = "This policy has no embedding: it is an earlier release's export or not MR.Q's."
            raise ActRefused("return_unavailable", text, param="return")
        zs = (await policy.latent.submit(rows, until)).outputs
        found["latent"] = zs.tolist()
    return found if asked.is_batch else {name: values[0] for name, values in found.items()}


def _chances(actor: Actor, chosen: Chosen) -> dict[str, list[Any]]:
    """A discrete action has a probability. A continuous one has none, but the noise that was drawn
    for it, in the network's units and before it is cut off at the bounds."""
    nothing = [None] * len(chosen.actions)
    if actor.codec.discrete:
        chances = actor.probability(chosen.outputs, chosen.actions, chosen.masks)
        return {"probability": chances.tolist(), "noise": nothing}
    noise = nothing if chosen.drawn is None else (actor.noise * chosen.drawn).tolist()
    return {"probability": nothing, "noise": noise}
