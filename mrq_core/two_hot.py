"""Rewards as a distribution over bins (section 4.2.1): regression by cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor


class TwoHot:
    """Bins evenly spaced after a logarithm: symexp(linspace(-limit, limit, num_bins))."""

    def __init__(
        self, num_bins: int, limit: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        exponents = torch.linspace(-limit, limit, num_bins, dtype=torch.float64)
        self.bins = (exponents.sign() * exponents.abs().expm1()).to(device, dtype)
        self.limit = float(self.bins[-1])

    def encode(self, x: Tensor) -> Tensor:
        """(...) -> (..., num_bins): weights of two neighbours with mean x, clamped to the bins."""
        bins, weights = self._neighbours(x)
        code = torch.zeros(*x.shape, len(self.bins), dtype=x.dtype, device=x.device)
        return code.scatter_(-1, bins, weights)

    def loss(self, logits: Tensor, x: Tensor) -> Tensor:
        """Cross-entropy, (..., num_bins) and (...) -> (...), without the code's many zeros."""
        bins, weights = self._neighbours(x)
        return logits.logsumexp(-1) - (logits.gather(-1, bins) * weights).sum(-1)

    def decode(self, logits: Tensor) -> Tensor:
        """(..., num_bins) -> (...): the expected value."""
        return logits.softmax(-1) @ self.bins

    def _neighbours(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(...) -> the two bins around x and their weights, both (..., 2)."""
        x = x.clamp(self.bins[0], self.bins[-1])
        lower = torch.searchsorted(self.bins, x, right=True) - 1
        lower = lower.clamp(0, len(self.bins) - 2)
        low, high = self.bins[lower], self.bins[lower + 1]
        weight = (x - low) / (high - low)
        return torch.stack([lower, lower + 1], -1), torch.stack([1 - weight, weight], -1)
