"""What a baseline serves: a chain of layers, and how its last numbers become an action."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mrq_core.actions import Mask
from mrq_core.run import ActionMode
from mrq_core.spaces import Floats

# Continuous actions are squashed, or cut off where they leave [-1, 1]; of discrete ones the chain
# gives logits (or values, whose largest is as good).
Ending: TypeAlias = Literal["tanh", "clip", "logits"]


class Table(nn.Module):
    """(B, D) of one one-hot per component of the state, side by side -> the state's row."""

    def __init__(self, values: Tensor, strides: Tensor) -> None:
        """`values` (states, A); `strides` (D,): what each place adds to the state's number."""
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("strides", strides)
        self.values: Tensor
        self.strides: Tensor

    def forward(self, state: Tensor) -> Tensor:
        return self.values[(state @ self.strides).round().long()]


class Scale(nn.Module):
    """Bytes of an image, from 0 to 1."""

    def forward(self, state: Tensor) -> Tensor:
        return state.to(torch.float32) / 255.0


class BaselinePolicy:
    def __init__(
        self,
        layers: nn.Sequential,
        input_shape: tuple[int, ...],
        components: tuple[int, ...],
        ending: Ending,
        noise: float = 0.0,
    ) -> None:
        """`noise` is that of a continuous policy that acts by chance."""
        self.layers = layers
        self.input_shape = input_shape
        self.components = components
        self.ending = ending
        self.exploration_noise = noise

    @property
    def input_size(self) -> int:
        return math.prod(self.input_shape)

    @torch.no_grad()
    def act(
        self,
        states: NDArray[Any],
        mode: ActionMode,
        generator: torch.Generator,
        masks: Mask | None = None,
    ) -> Floats:
        """As `mrq_core.policy.Policy.act`."""
        x = self._outputs(states)
        if self.ending == "logits":
            if mode == "sample":
                exponential = torch.empty(x.shape, device=x.device).exponential_(
                    generator=generator
                )
                x = x - exponential.log()
            if masks is not None:
                x = x.masked_fill(~torch.from_numpy(masks).to(x.device), -torch.inf)
            parts = torch.split(x, list(self.components), -1)
            x = torch.cat([F.one_hot(part.argmax(-1), part.shape[-1]) for part in parts], -1)
        elif mode == "sample":
            noise = torch.randn(x.shape, generator=generator, device=x.device)
            x = (x + self.exploration_noise * noise).clamp(-1.0, 1.0)
        return _array(x.to(torch.float32))

    @torch.no_grad()
    def outputs(self, states: NDArray[Any]) -> Floats:
        """(B, *S) -> (B, A): the action, or the logits of a discrete one."""
        return _array(self._outputs(states))

    def _outputs(self, states: NDArray[Any]) -> Tensor:
        device = next((t.device for t in self.layers.state_dict().values()), torch.device("cpu"))
        x: Tensor = self.layers(torch.from_numpy(states).to(device))
        if self.ending == "tanh":
            return x.tanh()
        return x.clamp(-1.0, 1.0) if self.ending == "clip" else x


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.cpu().numpy()
    return array
