"""The three networks (Appendix B.2). B batch, A action; widths as in the config. S is the shape of
the network's input: (D,) for vectors, (C, H, W) with C = history x channels for pixels.

Layer norm has no learned scale or offset, weights start Xavier-uniform with gain sqrt(2), biases
at 0. Nothing draws from torch's global generator.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mrq_core.config import (
    CONVOLUTION_CHANNELS,
    CONVOLUTION_STRIDES,
    Hyperparameters,
    convolved,
)

HEADS = 2


class Linear(nn.Linear):
    """`fan_out`, for the initial weights, is not m where the layer is part of a wider one."""

    def __init__(self, n: int, m: int, fan_out: int | None = None) -> None:
        super().__init__(n, m)
        self.fans = n + (fan_out or m)

    def reset_parameters(self) -> None:
        """Left to `initialise`, which has a generator of its own."""


class Convolution(nn.Conv2d):
    """3x3, without padding."""

    def __init__(self, n: int, m: int, stride: int) -> None:
        super().__init__(n, m, kernel_size=3, stride=stride)
        # The same numbers in another order, in which convolutions are faster on a CPU.
        channels_last = torch.channels_last
        self.weight = nn.Parameter(torch.empty(m, n, 3, 3, memory_format=channels_last))
        self.fans = 9 * (n + m)

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


class VectorEncoder(nn.Module):
    """(..., D) float -> zs (..., zs_dim)."""

    def __init__(self, h: Hyperparameters, observation_dim: int) -> None:
        super().__init__()
        widths = (observation_dim, *[h.encoder_hidden_dim] * 2, h.zs_dim)
        self.layers = nn.ModuleList(map(Linear, widths[:-1], widths[1:]))

    def forward(self, state: Tensor) -> Tensor:
        for layer in self.layers:
            state = F.elu(norm(layer(state)))
        return state


class PixelEncoder(nn.Module):
    """(..., C, H, W) from 0 to 255, of any number type -> zs (..., zs_dim)."""

    def __init__(self, h: Hyperparameters, channels: int, height: int, width: int) -> None:
        super().__init__()
        inputs = (channels, *[CONVOLUTION_CHANNELS] * (len(CONVOLUTION_STRIDES) - 1))
        self.convolutions = nn.ModuleList(
            Convolution(n, CONVOLUTION_CHANNELS, stride)
            for n, stride in zip(inputs, CONVOLUTION_STRIDES, strict=True)
        )
        flat = CONVOLUTION_CHANNELS * convolved(height) * convolved(width)
        self.projection = Linear(flat, h.zs_dim)

    def forward(self, state: Tensor) -> Tensor:
        images = state.flatten(0, -4).to(self.projection.weight.dtype) / 255.0 - 0.5
        for layer in self.convolutions:
            images = F.elu(layer(images))
        zs = F.elu(norm(self.projection(images.flatten(1))))
        return zs.view(*state.shape[:-3], -1)


def state_encoder(h: Hyperparameters, input_shape: tuple[int, ...]) -> nn.Module:
    match input_shape:
        case (observation_dim,):
            return VectorEncoder(h, observation_dim)
        case (channels, height, width):
            return PixelEncoder(h, channels, height, width)
    raise ValueError(f"input_shape is {input_shape}; it must be (D,) or (C, H, W)")


class Encoder(nn.Module):
    """State encoder f, state-action encoder g and the linear model of the MDP on top of them."""

    def __init__(self, h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int) -> None:
        super().__init__()
        hidden = h.encoder_hidden_dim
        self.input_shape = input_shape
        self.state = state_encoder(h, input_shape)
        self.za = Linear(action_dim, h.za_dim)
        self.zsa1 = Linear(h.zs_dim + h.za_dim, hidden)
        self.zsa2 = Linear(hidden, hidden)
        self.zsa3 = Linear(hidden, h.zsa_dim)
        # The model m, one linear layer on zsa, in two: only the next zs is needed to unroll.
        model_dim = 1 + h.zs_dim + h.reward_outputs
        self.next_zs = Linear(h.zsa_dim, h.zs_dim, model_dim)
        self.outcome = Linear(h.zsa_dim, 1 + h.reward_outputs, model_dim)

    def encode_state(self, state: Tensor) -> Tensor:
        """f: (..., *S) -> zs (..., zs_dim)."""
        return cast(Tensor, self.state(state))

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
        """(..., zsa_dim) -> termination (...), the reward model's outputs (..., reward_outputs)."""
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
            if isinstance(layer, (Linear, Convolution, HeadsLinear)):
                limit = math.sqrt(2) * math.sqrt(6 / layer.fans)
                layer.weight.uniform_(-limit, limit, generator=generator)
                assert layer.bias is not None
                layer.bias.zero_()
