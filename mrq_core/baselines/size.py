"""What a baseline costs, before it runs. Standard library only: the server reads it too."""

from __future__ import annotations

import math
from itertools import pairwise

from mrq_core.baselines.settings import DQN, PPO, SAC, TD3, Baseline, QLearning

# The library's network for images: (filters, kernel, stride) of its convolutions, and its output.
CONVOLUTIONS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
FEATURES = 512
# Below this nothing would be left of a side.
SMALLEST_SIDE = 36
BYTES_PER_PARAMETER = 4 * 5  # as of MR.Q: weights, targets, gradients, two moments


def parameter_count(
    s: Baseline,
    input_shape: tuple[int, ...],
    action_dim: int,
    *,
    discrete: bool,
    states: int = 0,
) -> int:
    """Trained numbers, without the targets. `states`: rows of a table."""
    if isinstance(s, QLearning):
        return states * action_dim
    features = FEATURES if len(input_shape) == 3 else input_shape[0]
    extractor = _image_parameters(input_shape) if len(input_shape) == 3 else 0

    def network(inputs: int, outputs: int) -> int:
        return _linear(inputs, *[s.hidden_dim] * s.hidden_layers, outputs)

    match s:
        case DQN():
            return extractor + network(features, action_dim)
        case PPO():
            both = network(features, action_dim) + network(features, 1)
            spread = 0 if discrete else action_dim
            return extractor + both + spread
        case TD3():
            actor = network(features, action_dim)
        case SAC():
            spread = (s.hidden_dim + 1) * action_dim
            actor = network(features, action_dim) + spread + 1  # the temperature
    critics = 2 * network(features + action_dim, 1)
    return 2 * extractor + actor + critics


def memory_bytes(
    s: Baseline, input_shape: tuple[int, ...], action_dim: int, total_steps: int
) -> tuple[int, int]:
    """Of one batch, and of all that is remembered."""
    number = 1 if len(input_shape) == 3 else 4
    seen = math.prod(input_shape)
    match s:
        case QLearning():
            return 0, 0
        case PPO():
            slots = s.rollout_steps
            kept = slots * (number * seen + 4 * (action_dim + 6))
            # A rollout is copied when its minibatches are drawn.
            kept *= 2
        case _:
            slots = min(s.buffer_size, total_steps)
            # Each transition with both its observations.
            kept = slots * (2 * number * seen + 4 * (action_dim + 3))
    hidden = s.hidden_dim * s.hidden_layers
    images = 6 * _image_units(input_shape) if len(input_shape) == 3 else 0
    return 4 * s.batch_size * (2 * seen + 9 * hidden + images), kept


def _linear(*widths: int) -> int:
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))


def _image_parameters(input_shape: tuple[int, ...]) -> int:
    channels, total = input_shape[0], 0
    for filters, kernel, _ in CONVOLUTIONS:
        total += filters * (channels * kernel * kernel + 1)
        channels = filters
    return total + _linear(_sides(input_shape)[-1], FEATURES)


def _image_units(input_shape: tuple[int, ...]) -> int:
    return sum(_sides(input_shape)) + FEATURES


def _sides(input_shape: tuple[int, ...]) -> list[int]:
    """Numbers that each convolution gives, for one image."""
    _, height, width = input_shape
    found = []
    for filters, kernel, stride in CONVOLUTIONS:
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        found.append(filters * height * width)
    return found
