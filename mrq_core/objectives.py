"""What the policy is trained for, beside its pre-activation staying small. B batch, A action."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mrq_core.heads import ActionHead

_SMALLEST = 1e-6


class PolicyObjective(Protocol):
    def loss(self, q: Tensor, u: Tensor, logged: Tensor | None) -> Tensor:
        """`q` (B, HEADS) of the policy's own action, `u` (B, A) its pre-activation, `logged`
        (B, A) what was done there."""


class Greedy:
    """Equation 20: the value alone."""

    def loss(self, q: Tensor, u: Tensor, logged: Tensor | None) -> Tensor:  # noqa: ARG002
        return -q.mean()


class StayClose:
    """TD3+BC (Fujimoto and Gu 2021, arXiv 2106.06860): the value, in units of its own size, less
    the distance to what was done. With `alpha` 0 the policy is a copy of what was logged."""

    def __init__(self, head: ActionHead, alpha: float) -> None:
        self.head = head
        self.alpha = alpha

    def loss(self, q: Tensor, u: Tensor, logged: Tensor | None) -> Tensor:
        assert logged is not None, "it learns from what was done"
        scale = self.alpha / q.detach().abs().mean().clamp(min=_SMALLEST)
        return -scale * q.mean() + self.head.distance(u, logged)
