"""How the policy's output becomes an action: the only difference between the kinds of action.

A discrete action is one one-hot per component, side by side: one for Discrete, one per dimension
for MultiDiscrete and MultiBinary. A mask (B, A) is true where a choice is legal and leaves at least
one to every component; None allows everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class ActionHead(Protocol):
    """u is the policy's pre-activation (B, A)."""

    # One-hot actions span half the range of continuous ones, so their noise is halved.
    noise_scale: float

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor: ...

    def activate(self, u: Tensor, gumbel: Tensor, mask: Tensor | None) -> Tensor:
        """Differentiable: what the policy is trained through."""

    def complete(self, action: Tensor, mask: Tensor | None) -> Tensor:
        """An activated action, with noise on it, -> one that an environment can execute."""

    def distance(self, u: Tensor, logged: Tensor) -> Tensor:
        """Between the policy and actions (B, A) that were taken: a mean, to be made small."""

    def output(self, u: Tensor) -> Tensor:
        """What a served policy says of itself: the action in [-1, 1], or the logits."""

    def deterministic(self, u: Tensor, mask: Tensor | None) -> Tensor: ...

    def sample(
        self, u: Tensor, noise: float, generator: torch.Generator, mask: Tensor | None
    ) -> Tensor:
        """As a served policy acts by chance: `noise` is for continuous actions only, for discrete
        ones the policy is a distribution already."""


class ContinuousHead:
    # Some arguments matter to the other kind of head only (noqa: ARG002).
    noise_scale = 1.0

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return torch.zeros(())

    def activate(self, u: Tensor, gumbel: Tensor, mask: Tensor | None) -> Tensor:  # noqa: ARG002
        return u.tanh()

    def complete(self, action: Tensor, mask: Tensor | None) -> Tensor:  # noqa: ARG002
        return action.clamp(-1.0, 1.0)

    def distance(self, u: Tensor, logged: Tensor) -> Tensor:
        return F.mse_loss(u.tanh(), logged)

    def output(self, u: Tensor) -> Tensor:
        return u.tanh()

    def deterministic(self, u: Tensor, mask: Tensor | None) -> Tensor:  # noqa: ARG002
        return u.tanh()

    def sample(
        self, u: Tensor, noise: float, generator: torch.Generator, mask: Tensor | None
    ) -> Tensor:
        draw = torch.randn(u.shape, generator=generator, device=u.device)
        return self.complete(u.tanh() + noise * draw, mask)


class DiscreteHead:
    """Gumbel-softmax, soft while training. The argmax of a sample is a draw from softmax(u)."""

    noise_scale = 0.5

    def __init__(self, components: tuple[int, ...], tau: float) -> None:
        self.components = components
        self.tau = tau

    def draw_gumbel(self, u_shape: torch.Size, generator: torch.Generator) -> Tensor:
        exponential = torch.empty(u_shape, device=generator.device)
        return -exponential.exponential_(generator=generator).log()

    def activate(self, u: Tensor, gumbel: Tensor, mask: Tensor | None) -> Tensor:
        logits = _legal((u + gumbel) / self.tau, mask)
        return self._each(logits, lambda component: component.softmax(-1))

    def complete(self, action: Tensor, mask: Tensor | None) -> Tensor:
        return self._each(_legal(action, mask), _one_hot)

    def distance(self, u: Tensor, logged: Tensor) -> Tensor:
        """The cross entropy, of each component."""
        log_probabilities = self._each(u, lambda component: component.log_softmax(-1))
        return -(logged * log_probabilities).sum(-1).mean() / len(self.components)

    def output(self, u: Tensor) -> Tensor:
        return u

    def deterministic(self, u: Tensor, mask: Tensor | None) -> Tensor:
        return self.complete(u, mask)

    def sample(
        self,
        u: Tensor,
        noise: float,  # noqa: ARG002
        generator: torch.Generator,
        mask: Tensor | None,
    ) -> Tensor:
        return self.complete(u + self.draw_gumbel(u.shape, generator), mask)

    def _each(self, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.cat([function(part) for part in torch.split(x, list(self.components), -1)], -1)


def action_head(components: tuple[int, ...], tau: float) -> ActionHead:
    """`components`: the sizes of the one-hots; none for a continuous action."""
    return DiscreteHead(components, tau) if components else ContinuousHead()


def _legal(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask, -torch.inf)


def _one_hot(x: Tensor) -> Tensor:
    return F.one_hot(x.argmax(-1), x.shape[-1]).to(x.dtype)
