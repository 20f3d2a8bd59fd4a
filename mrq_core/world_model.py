"""What MR.Q has learnt of its world, for questions beside the action: the value of a pair of state
and action, and what the model of the encoder (section 4.2) says that follows it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mrq_core.agent import Agent
from mrq_core.networks import Encoder, Value
from mrq_core.reward_model import RewardModel


class Prediction(NamedTuple):
    """`termination` is a number that was fitted to 0 and 1, and may lie a little outside."""

    q: Tensor  # (B, HEADS), in units of return
    reward: Tensor  # (B, 1), in the environment's units
    termination: Tensor  # (B, 1)
    next_zs: Tensor  # (B, zs_dim)


class WorldModel:
    def __init__(
        self, encoder: Encoder, value: Value, reward_model: RewardModel, reward_scale: float
    ) -> None:
        self.encoder = encoder
        self.value = value
        self.reward_model = reward_model
        self.reward_scale = reward_scale

    @torch.no_grad()
    def predict(self, zs: Tensor, action: Tensor) -> Prediction:
        """(B, zs_dim) and the network's actions (B, A)."""
        zsa = self.encoder.encode_state_action(zs, action)
        termination, reward = self.encoder.predict_outcome(zsa)
        return Prediction(
            self.value(zsa) * self.reward_scale,
            self.reward_model.decode(reward).unsqueeze(-1),
            termination.unsqueeze(-1),
            self.encoder.next_zs(zsa),
        )


def world_model_of(agent: Agent) -> WorldModel:
    """Shares the agent's networks."""
    return WorldModel(agent.encoder, agent.value, agent.reward_model, agent.reward_scale)
