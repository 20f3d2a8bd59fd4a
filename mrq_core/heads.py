"""How the policy's output becomes an action: the only difference between the two action kinds."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class ActionHead(Protocol):
    """u is the policy's pre-activation (B, A)."""

    # One-hot actions span half the range of continuous ones, so their noise is halved.
    noise_scale: float

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor: ...

    def activate(self, u: Tensor, gumbel: Tensor) -> Tensor:
        """Differentiable: what the policy is trained through."""

    def complete(self, action: Tensor) -> Tensor:
        """An activated action, with noise on it, -> one that an environment can execute."""

    def deterministic(self, u: Tensor) -> Tensor: ...


class ContinuousHead:
    noise_scale = 1.0

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return torch.zeros(())

    def activate(self, u: Tensor, gumbel: Tensor) -> Tensor:  # noqa: ARG002
        return u.tanh()

    def complete(self, action: Tensor) -> Tensor:
        return action.clamp(-1.0, 1.0)

    def deterministic(self, u: Tensor) -> Tensor:
        return u.tanh()


class DiscreteHead:
    """Gumbel-softmax, soft while training. The argmax of a sample is a draw from softmax(u)."""

    noise_scale = 0.5

    def __init__(self, tau: float) -> None:
        self.tau = tau

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor:
        exponential = torch.empty(u_shape, device=generator.device)
        return -exponential.exponential_(generator=generator).log()

    def activate(self, u: Tensor, gumbel: Tensor) -> Tensor:
        return ((u + gumbel) / self.tau).softmax(-1)

    def complete(self, action: Tensor) -> Tensor:
        return F.one_hot(action.argmax(-1), action.shape[-1]).to(action.dtype)

    def deterministic(self, u: Tensor) -> Tensor:
        return self.complete(u)


def action_head(discrete: bool, tau: float) -> ActionHead:
    return DiscreteHead(tau) if discrete else ContinuousHead()
