"""Predictions of a policy's own model: not on the way of an action."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.answers import Json
from app.body import JsonBody, parse
from app.deps import PoliciesDep
from app.routes.policies import Reference
from app.serving.imagining import MAX_ACTIONS, MAX_LENGTH, MAX_SEQUENCES, Imagined, imagine
from app.serving.policies import LivePolicy

router = APIRouter(prefix="/policies", tags=["policies"])


class Imagination(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    observation: Any = Field(description="One observation, as for `act`.")
    sequences: list[Any] = Field(
        min_length=1,
        max_length=MAX_SEQUENCES,
        description=(
            "Lists of actions in the environment's units, all of one length: at most "
            f"{MAX_LENGTH} each and {MAX_ACTIONS} in all."
        ),
    )


class ImaginedSequence(BaseModel):
    rewards: list[float] = Field(description="Of each action, in the environment's units.")
    terminations: list[float] = Field(
        description="Of each action: how likely the episode ends by it, 0 to 1."
    )
    values: list[float] = Field(
        description="Of each action: the return from it on, the lesser of the two heads'."
    )
    return_estimate: float = Field(
        description=(
            "Discounted rewards up to the last action and the value at that, each weighed by how "
            "likely the episode has not ended before."
        )
    )


class ImaginedView(BaseModel):
    policy_id: str
    name: str
    version: int
    checkpoint_id: str
    trained_horizon: int = Field(description="Steps over which the model was unrolled in training.")
    beyond_trained_horizon: bool = Field(description="Whether the sequences are longer.")
    discount: float
    best: int = Field(description="The sequence with the highest `return_estimate`.")
    predictions: list[ImaginedSequence]


@router.post("/{reference}/imagine", response_model=ImaginedView)
async def imagine_sequences(reference: Reference, body: JsonBody, policies: PoliciesDep) -> Json:
    asked = parse(Imagination, body)
    policy = await policies.get(reference)
    imagined = await imagine(policies, policy, asked.observation, asked.sequences)
    return Json(_view(policy, imagined))


def _view(policy: LivePolicy, imagined: Imagined) -> dict[str, Any]:
    returns = imagined.returns()
    rows = zip(
        imagined.rewards.tolist(),
        imagined.terminations.tolist(),
        imagined.values.tolist(),
        returns.tolist(),
        strict=True,
    )
    names = ("rewards", "terminations", "values", "return_estimate")
    return {
        "policy_id": policy.id,
        "name": policy.name,
        "version": policy.version,
        "checkpoint_id": policy.checkpoint_id,
        "trained_horizon": imagined.trained_horizon,
        "beyond_trained_horizon": imagined.rewards.shape[1] > imagined.trained_horizon,
        "discount": imagined.discount,
        "best": int(returns.argmax()),
        "predictions": [dict(zip(names, row, strict=True)) for row in rows],
    }
