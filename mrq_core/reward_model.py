"""How the model predicts a reward: as a distribution, or as a number (the paper's ablation)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mrq_core.config import Hyperparameters
from mrq_core.two_hot import TwoHot


class RewardModel(Protocol):
    # Rewards beyond this are learned as if they were this.
    limit: float

    def loss(self, outputs: Tensor, reward: Tensor) -> Tensor:
        """(..., reward_outputs) and (...) -> (...)."""

    def decode(self, outputs: Tensor) -> Tensor:
        """(..., reward_outputs) -> (...): the expected reward."""


class SquaredError:
    limit = float("inf")

    def loss(self, outputs: Tensor, reward: Tensor) -> Tensor:
        return (self.decode(outputs) - reward).square()

    def decode(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(-1)


def reward_model(h: Hyperparameters, device: torch.device, dtype: torch.dtype) -> RewardModel:
    return TwoHot(h.num_bins, h.bin_range, device, dtype) if h.two_hot_reward else SquaredError()
