"""The three networks (Appendix B.2). B batch, D observation, A action; widths as in the config.

Layer norm has no learned scale or offset, weights start Xavier-uniform with gain sqrt(2), biases
at 0. Nothing draws from torch's global generator.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mrq_core.config import Hyperparameters

HEADS = 2


class Linear(nn.Linear):
    """`fan_out`, for the initial weights, is not m where the layer is part of a wider one."""

    def __init__(self, n: int, m: int, fan_out: int | None = None) -> None:
        super().__init__(n, m)
        self.fans = n + (fan_out or m)

    def reset_parameters(self) -> None:
        """Left to `initialise`, which has a generator of its own."""


class HeadsLinear(nn.Module):
    """The same layer of all value heads in one product: (HEADS, B, n) -> (HEADS, B, m)."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.fans = n + m
        self.weight = nn.Parameter(torch.empty(HEADS, n, m))
        self.bias = nn.Parameter(torch.empty(HEADS, 1, m))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


class Encoder(nn.Module):
    """State encoder f, state-action encoder g and the linear model of the MDP on top of them."""

    def __init__(self, h: Hyperparameters, observation_dim: int, action_dim: int) -> None:
        super().__init__()
        hidden = h.encoder_hidden_dim
        self.observation_dim = observation_dim
        widths = (observation_dim, hidden, hidden, h.zs_dim)
        self.state_layers = nn.ModuleList(map(Linear, widths[:-1], widths[1:]))
        self.za = Linear(action_dim, h.za_dim)
        self.zsa1 = Linear(h.zs_dim + h.za_dim, hidden)
        self.zsa2 = Linear(hidden, hidden)
        self.zsa3 = Linear(hidden, h.zsa_dim)
        # The model m, one linear layer on zsa, in two: only the next zs is needed to unroll.
        model_dim = 1 + h.zs_dim + h.num_bins
        self.next_zs = Linear(h.zsa_dim, h.zs_dim, model_dim)
        self.outcome = Linear(h.zsa_dim, 1 + h.num_bins, model_dim)

    def encode_state(self, state: Tensor) -> Tensor:
        """f: (..., D) -> zs (..., zs_dim)."""
        for layer in self.state_layers:
            state = F.elu(norm(layer(state)))
        return state

    def encode_action(self, action: Tensor) -> Tensor:
        return F.elu(self.za(action))

    def encode_pair(self, zs: Tensor, za: Tensor) -> Tensor:
        """The rest of g, zsa: no norm and no activation at its end."""
        zsa = F.elu(norm(self.zsa1(torch.cat([zs, za], -1))))
        return cast(Tensor, self.zsa3(F.elu(norm(self.zsa2(zsa)))))

    def encode_state_action(self, zs: Tensor, action: Tensor) -> Tensor:
        """g: zs and an action (B, A) -> zsa (B, zsa_dim)."""
        return self.encode_pair(zs, self.encode_action(action))

    def predict_outcome(self, zsa: Tensor) -> tuple[Tensor, Tensor]:
        """(..., zsa_dim) -> termination (...), reward logits (..., num_bins)."""
        outcome = self.outcome(zsa)
        return outcome[..., 0], outcome[..., 1:]


class Value(nn.Module):
    """Q of both heads: zsa (B, zsa_dim) -> (B, HEADS), in units of the reward scale."""

    def __init__(self, h: Hyperparameters) -> None:
        super().__init__()
        hidden = h.value_hidden_dim
        self.layers = nn.ModuleList(HeadsLinear(n, hidden) for n in (h.zsa_dim, hidden, hidden))
        self.output = HeadsLinear(hidden, 1)

    def forward(self, zsa: Tensor) -> Tensor:
        x = zsa.expand(HEADS, *zsa.shape)
        for layer in self.layers:
            x = F.elu(norm(layer(x)))
        return cast(Tensor, self.output(x)).squeeze(-1).T


class PolicyNetwork(nn.Module):
    """zs (B, zs_dim) -> pre-activation u (B, A)."""

    def __init__(self, h: Hyperparameters, action_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Linear(n, h.policy_hidden_dim) for n in (h.zs_dim, h.policy_hidden_dim)
        )
        self.output = Linear(h.policy_hidden_dim, action_dim)

    def forward(self, zs: Tensor) -> Tensor:
        for layer in self.layers:
            zs = F.relu(norm(layer(zs)))
        return cast(Tensor, self.output(zs))


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, (Linear, HeadsLinear)):
                limit = math.sqrt(2) * math.sqrt(6 / layer.fans)
                layer.weight.uniform_(-limit, limit, generator=generator)
                layer.bias.zero_()
