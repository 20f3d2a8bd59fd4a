"""What a run of MR.Q is told, and what it costs. Standard library only: the server reads it too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, NamedTuple


class Bounds(NamedTuple):
    """Both ends are allowed."""

    minimum: float
    maximum: float

    def __str__(self) -> str:
        return f"between {self.minimum} and {self.maximum}"


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The defaults are the paper's, the same on every benchmark (its Table 3).

    One-hot actions span [0, 1], half the range of continuous ones, so all three noise settings
    are halved for discrete actions.
    """

    # For pydantic, which reads this from any dataclass: a misspelt field is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    # Networks. Widths of the embeddings and of the hidden layers.
    zs_dim: int = 512
    zsa_dim: int = 512
    za_dim: int = 256
    encoder_hidden_dim: int = 512
    value_hidden_dim: int = 512
    policy_hidden_dim: int = 512

    # Encoder loss (equation 14): unroll length, loss weights, two-hot reward bins at
    # symexp(linspace(-bin_range, bin_range, num_bins)).
    enc_horizon: int = 5
    lambda_dynamics: float = 1.0
    lambda_reward: float = 0.1
    lambda_terminal: float = 0.1
    num_bins: int = 65
    bin_range: float = 10.0

    # Value and policy loss (equations 19 and 20).
    q_horizon: int = 3
    discount: float = 0.99
    lambda_pre_activation: float = 1e-5
    target_noise: float = 0.2
    target_noise_clip: float = 0.3
    gumbel_tau: float = 10.0
    # Pixels only: random shifts of up to this many pixels in every direction; 0 for none.
    pixel_shift: int = 4

    # Optimisers: three AdamW.
    batch_size: int = 256
    encoder_lr: float = 1e-4
    encoder_weight_decay: float = 1e-4
    value_lr: float = 3e-4
    value_weight_decay: float = 1e-4
    value_grad_clip: float = 20.0
    policy_lr: float = 3e-4
    policy_weight_decay: float = 1e-4
    # In training steps: the period of the target networks and the length of the encoder's burst.
    target_update_every: int = 250

    # Exploration and replay. Sizes count stored observations: an episode's last one takes a place.
    exploration_noise: float = 0.2
    buffer_size: int = 1_000_000
    warmup_steps: int = 10_000
    lap_alpha: float = 0.4
    min_priority: float = 1.0

    # Departures from the authors' code. The reward scale stays 1 until a reward other than zero
    # was seen (theirs: 1e-8, which makes the first targets about 1e8).
    zero_reward_guard: bool = True
    # The priority of new transitions falls back to the buffer's present maximum at each target
    # update (theirs: it only ever grows).
    reset_max_priority: bool = False

    # Parts that the paper's design study takes away (its Table 2). Its 1-step return is
    # q_horizon 1, and its model without unroll enc_horizon 1.
    min_over_heads: bool = True  # else the mean of the value target's two heads
    prioritized: bool = True  # else windows are drawn uniformly
    reward_scaling: bool = True
    two_hot_reward: bool = True  # else the reward is one number, learned by squared error

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "bool":
                _require(isinstance(value, bool), field.name, value, "true or false")
            else:
                _require_number(field.name, value, whole=field.type == "int")
            if field.type == "float":
                object.__setattr__(self, field.name, float(value))  # 1 and 1.0 are one setting
        allowed = f"below buffer_size ({self.buffer_size}), or training never starts"
        _require(self.warmup_steps < self.buffer_size, "warmup_steps", self.warmup_steps, allowed)

    @property
    def horizon(self) -> int:
        """Transitions in a replayed window; both losses start from the same slots."""
        return max(self.enc_horizon, self.q_horizon)

    @property
    def reward_outputs(self) -> int:
        """Of the model, for the reward."""
        return self.num_bins if self.two_hot_reward else 1


def _require_number(name: str, value: object, *, whole: bool) -> None:
    bounds = BOUNDS[name]
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    # Written so that NaN, which compares false, is refused.
    inside = isinstance(value, int | float) and bounds.minimum <= value <= bounds.maximum
    _require(number and inside, name, value, f"{'an integer' if whole else 'a number'} {bounds}")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}; it must be {allowed}")


_WIDTH = Bounds(1, 4096)
_HORIZON = Bounds(1, 32)
_LAMBDA = Bounds(0.0, 1000.0)
_NOISE = Bounds(0.0, 2.0)
_LEARNING_RATE = Bounds(1e-8, 0.1)
_WEIGHT_DECAY = Bounds(0.0, 1.0)

# What protects a shared machine from one request. The least buffer holds more than two windows.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "zs_dim": _WIDTH,
        "zsa_dim": _WIDTH,
        "za_dim": _WIDTH,
        "encoder_hidden_dim": _WIDTH,
        "value_hidden_dim": _WIDTH,
        "policy_hidden_dim": _WIDTH,
        "enc_horizon": _HORIZON,
        "lambda_dynamics": _LAMBDA,
        "lambda_reward": _LAMBDA,
        "lambda_terminal": _LAMBDA,
        "num_bins": Bounds(3, 1025),
        "bin_range": Bounds(0.1, 30.0),
        "q_horizon": _HORIZON,
        "discount": Bounds(0.0, 1.0),
        "lambda_pre_activation": _LAMBDA,
        "target_noise": _NOISE,
        "target_noise_clip": _NOISE,
        "gumbel_tau": Bounds(0.01, 1000.0),
        "pixel_shift": Bounds(0, 16),
        "batch_size": Bounds(1, 65_536),
        "encoder_lr": _LEARNING_RATE,
        "encoder_weight_decay": _WEIGHT_DECAY,
        "value_lr": _LEARNING_RATE,
        "value_weight_decay": _WEIGHT_DECAY,
        "value_grad_clip": Bounds(1e-3, 1e6),
        "policy_lr": _LEARNING_RATE,
        "policy_weight_decay": _WEIGHT_DECAY,
        "target_update_every": Bounds(1, 100_000),
        "exploration_noise": _NOISE,
        "buffer_size": Bounds(100, 10_000_000),
        "warmup_steps": Bounds(1, 1_000_000),
        "lap_alpha": Bounds(0.0, 1.0),
        "min_priority": Bounds(1e-3, 1000.0),
    }
)

PRESETS: Mapping[str, Hyperparameters] = MappingProxyType(
    {
        "paper": Hyperparameters(),
        # For small control tasks on one CPU core, in 10,000 steps rather than a million: values
        # travel q_horizon steps a target update, so these are more frequent, and the small
        # encoder learns faster. CartPole-v1 needs both.
        "small": Hyperparameters(
            zs_dim=128,
            zsa_dim=128,
            za_dim=64,
            encoder_hidden_dim=128,
            value_hidden_dim=128,
            policy_hidden_dim=128,
            batch_size=64,
            encoder_lr=3e-4,
            target_update_every=100,
            buffer_size=200_000,
            warmup_steps=1_000,
        ),
    }
)


# Pixels: four 3x3 convolutions without padding (Appendix B.2).
CONVOLUTION_CHANNELS = 32
CONVOLUTION_STRIDES = (2, 2, 2, 1)
# Below this nothing would be left of a side.
SMALLEST_SIDE = 31


def convolved(side: int) -> int:
    """Of an image, after the convolutions: 84 pixels become 7."""
    for stride in CONVOLUTION_STRIDES:
        side = (side - 3) // stride + 1
    return side


def parameter_count(h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int) -> int:
    """Trained parameters, without the target networks (which are as many again). `input_shape`
    is (D,) or, for pixels, (C, H, W)."""

    def linear(*widths: int) -> int:
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))

    hidden = h.encoder_hidden_dim
    if len(input_shape) == 1:
        state = linear(*input_shape, hidden, hidden, h.zs_dim)
    else:
        channels, height, width = input_shape
        filters = CONVOLUTION_CHANNELS
        per_layer = [9 * n_in + 1 for n_in in (channels, *[filters] * 3)]
        flat = filters * convolved(height) * convolved(width)
        state = filters * sum(per_layer) + linear(flat, h.zs_dim)
    encoder = (
        state
        + linear(action_dim, h.za_dim)
        + linear(h.zs_dim + h.za_dim, hidden, hidden, h.zsa_dim)
        + linear(h.zsa_dim, 1 + h.zs_dim + h.reward_outputs)
    )
    value = 2 * linear(h.zsa_dim, *[h.value_hidden_dim] * 3, 1)
    policy = linear(h.zs_dim, *[h.policy_hidden_dim] * 2, action_dim)
    return encoder + value + policy


# What decides the form of the networks, beside the environment. The widths, and the reward's head.
NETWORK_SETTINGS = (
    "zs_dim",
    "zsa_dim",
    "za_dim",
    "encoder_hidden_dim",
    "value_hidden_dim",
    "policy_hidden_dim",
    "num_bins",
    "two_hot_reward",
)
# What decides how the replay lies in memory and which windows may begin where.
REPLAY_SETTINGS = ("buffer_size", "enc_horizon", "q_horizon", "lap_alpha", "prioritized")

SLOTS_AT_FIRST = 1024


def allocated_slots(needed: int, buffer_size: int) -> int:
    """The replay grows by doubling, so that a short run never pays for `buffer_size`."""
    doublings = max(0, math.ceil(math.log2(needed / SLOTS_AT_FIRST)))
    return min(buffer_size, SLOTS_AT_FIRST << doublings)


def replay_bytes(
    h: Hyperparameters,
    frame_bytes: int,
    action_dim: int,
    total_steps: int,
    *,
    masked: bool = False,
) -> int:
    """Most memory that the replay of a run can hold: every episode one step long, so that each
    step also stores a last frame. The sum tree's upper levels are left out (under 1 %)."""
    # float32 action and reward; two flags, the age; float64 priority and sum-tree leaf.
    slot = frame_bytes + 4 * action_dim + 4 + 3 + 8 + 8
    if masked:
        slot += action_dim
    return slot * allocated_slots(2 * max(1, total_steps), h.buffer_size)
