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

    def output(self, u: Tensor) -> Tensor:
        """What a served policy says of itself: the action in [-1, 1], or the logits."""

    def deterministic(self, u: Tensor) -> Tensor: ...

    def sample(self, u: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        """As a served policy acts by chance: `noise` is for continuous actions only, for discrete
        ones the policy is a distribution already."""


class ContinuousHead:
    # Some arguments matter to the other kind of head only (noqa: ARG002).
    noise_scale = 1.0

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return torch.zeros(())

    def activate(self, u: Tensor, gumbel: Tensor) -> Tensor:  # noqa: ARG002
        return u.tanh()

    def complete(self, action: Tensor) -> Tensor:
        return action.clamp(-1.0, 1.0)

    def output(self, u: Tensor) -> Tensor:
        return u.tanh()

    def deterministic(self, u: Tensor) -> Tensor:
        return u.tanh()

    def sample(self, u: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        draw = torch.randn(u.shape, generator=generator, device=u.device)
        return self.complete(u.tanh() + noise * draw)


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

    def output(self, u: Tensor) -> Tensor:
        return u

    def deterministic(self, u: Tensor) -> Tensor:
        return self.complete(u)

    def sample(self, u: Tensor, noise: float, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return self.complete(u + self.draw_gumbel(u.shape, generator))


def action_head(discrete: bool, tau: float) -> ActionHead:
    return DiscreteHead(tau) if discrete else ContinuousHead()
