"""Random shifts of images (section 4.3, after DrQ-v2): what makes learning from pixels possible.

Theirs shift by bilinear sampling at whole pixels, which is a crop of the image with its edges
repeated; the same here as a crop, exact and on bytes. N is any number of leading dimensions.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Augmentation(Protocol):
    def __call__(self, state: Tensor, generator: torch.Generator) -> Tensor:
        """(N..., *S) -> the same shape. Every input of the network gets a draw of its own."""


class NoAugmentation:
    def __call__(self, state: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return state


class RandomShift:
    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, state: Tensor, generator: torch.Generator) -> Tensor:
        shape = (*state.shape[:-3], 2)
        xy = torch.randint(2 * self.pad + 1, shape, generator=generator, device=generator.device)
        return shift(state, xy, self.pad)


def augmentation(pad: int, input_shape: tuple[int, ...]) -> Augmentation:
    return RandomShift(pad) if pad > 0 and len(input_shape) == 3 else NoAugmentation()


def shift(images: Tensor, xy: Tensor, pad: int) -> Tensor:
    """(N..., C, H, W) -> the same: what a window at `xy` (N..., 2) sees of the image after each
    edge was repeated `pad` times; `pad` in both directions is the image itself."""
    flat = images.flatten(0, -4)
    height, width = images.shape[-2:]
    x, y = (xy.flatten(0, -2) - pad).unbind(-1)
    rows = (y[:, None] + torch.arange(height, device=y.device)).clamp(0, height - 1)
    columns = (x[:, None] + torch.arange(width, device=x.device)).clamp(0, width - 1)
    rows = rows[:, None, :, None].expand(-1, flat.shape[1], -1, width)
    columns = columns[:, None, None, :].expand(-1, flat.shape[1], height, -1)
    return flat.gather(2, rows).gather(3, columns).view(images.shape)
