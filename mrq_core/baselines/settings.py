"""What a baseline is told. Standard library only: the server reads it too.

Defaults are those of Stable-Baselines3 2.9, in the names that MR.Q's settings have. Two of the
library's own settings are shares of a run's length; here they are steps, so that a run that is
made longer goes on as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias

from mrq_core.config import Bounds

Preset: TypeAlias = Literal["paper", "small"]

_WIDTH = Bounds(1, 4096)
_LEARNING_RATE = Bounds(1e-8, 1.0)
_FRACTION = Bounds(0.0, 1.0)
_NOISE = Bounds(0.0, 2.0)
_STEPS = Bounds(1, 1_000_000)

# One setting means the same and has the same bounds wherever it is found.
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "hidden_dim": _WIDTH,
        "hidden_layers": Bounds(1, 8),
        "learning_rate": _LEARNING_RATE,
        "discount": _FRACTION,
        "batch_size": Bounds(2, 65_536),
        "buffer_size": Bounds(100, 10_000_000),
        "warmup_steps": _STEPS,
        "train_every": Bounds(1, 100_000),
        "updates": Bounds(1, 1_000),
        "target_update_every": _STEPS,
        "target_mix": Bounds(1e-6, 1.0),
        "grad_clip": Bounds(1e-3, 1e6),
        "exploration_steps": Bounds(1, 100_000_000),
        "exploration_last": _FRACTION,
        "exploration_noise": _NOISE,
        "policy_delay": Bounds(1, 1_000),
        "target_noise": _NOISE,
        "target_noise_clip": _NOISE,
        "rollout_steps": Bounds(2, 65_536),
        "epochs": Bounds(1, 100),
        "gae_lambda": _FRACTION,
        "clip_range": Bounds(1e-3, 10.0),
        "entropy_weight": Bounds(0.0, 10.0),
        "value_weight": Bounds(0.0, 10.0),
        "initial_value": Bounds(-1e6, 1e6),
    }
)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    # For pydantic, which reads this from any dataclass: a misspelt field is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for field in fields(self):
            value, whole = getattr(self, field.name), field.type == "int"
            bounds = BOUNDS[field.name]
            number = isinstance(value, int if whole else int | float)
            # So written that NaN, which compares false, is refused.
            if not (number and not isinstance(value, bool) and bounds[0] <= value <= bounds[1]):
                kind = "an integer" if whole else "a number"
                raise ValueError(f"{field.name} is {value!r}; it must be {kind} {bounds}")
            if not whole:
                object.__setattr__(self, field.name, float(value))  # 1 and 1.0 are one setting


@dataclass(frozen=True, kw_only=True)
class _Replaying(_Settings):
    buffer_size: int = 1_000_000
    warmup_steps: int = 100  # random ones, before anything is learned

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_steps >= self.buffer_size:
            allowed = f"below buffer_size ({self.buffer_size}), or training never starts"
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class DQN(_Replaying):
    """Deep Q-networks (Mnih et al. 2015). `updates` are made after every `train_every` steps."""

    hidden_dim: int = 64
    hidden_layers: int = 2
    learning_rate: float = 1e-4
    discount: float = 0.99
    batch_size: int = 32
    train_every: int = 4
    updates: int = 1
    target_update_every: int = 10_000  # in steps of the environment
    target_mix: float = 1.0  # 1: the target network becomes the online one
    grad_clip: float = 10.0
    # Random actions: from all of them to `exploration_last`, over so many steps.
    exploration_steps: int = 100_000
    exploration_last: float = 0.05


@dataclass(frozen=True, kw_only=True)
class TD3(_Replaying):
    """Twin delayed DDPG (Fujimoto et al. 2018)."""

    hidden_dim: int = 256
    hidden_layers: int = 2
    learning_rate: float = 1e-3
    discount: float = 0.99
    batch_size: int = 256
    train_every: int = 1
    updates: int = 1
    target_mix: float = 0.005
    policy_delay: int = 2
    target_noise: float = 0.2
    target_noise_clip: float = 0.5
    exploration_noise: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SAC(_Replaying):
    """Soft actor-critic (Haarnoja et al. 2018) whose temperature is learned."""

    hidden_dim: int = 256
    hidden_layers: int = 2
    learning_rate: float = 3e-4
    discount: float = 0.99
    batch_size: int = 256
    train_every: int = 1
    updates: int = 1
    target_mix: float = 0.005


@dataclass(frozen=True, kw_only=True)
class PPO(_Settings):
    """Proximal policy optimisation (Schulman et al. 2017), with one environment."""

    warmup_steps: ClassVar[int] = 0

    hidden_dim: int = 64
    hidden_layers: int = 2
    learning_rate: float = 3e-4
    discount: float = 0.99
    rollout_steps: int = 2048
    batch_size: int = 64
    epochs: int = 10
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy_weight: float = 0.0
    value_weight: float = 0.5
    grad_clip: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rollout_steps % self.batch_size:
            raise ValueError(
                f"batch_size is {self.batch_size}; it must divide rollout_steps "
                f"({self.rollout_steps}), or a batch of another size remains"
            )


@dataclass(frozen=True, kw_only=True)
class QLearning(_Settings):
    """One number for each state and action (Watkins 1989; Sutton and Barto 2018, section 6.5)."""

    warmup_steps: ClassVar[int] = 0

    learning_rate: float = 0.1
    discount: float = 0.99
    initial_value: float = 0.0
    exploration_steps: int = 10_000
    exploration_last: float = 0.05


Baseline: TypeAlias = DQN | TD3 | SAC | PPO | QLearning

BASELINES: Mapping[str, type[Baseline]] = MappingProxyType(
    {"dqn": DQN, "td3": TD3, "sac": SAC, "ppo": PPO, "q_learning": QLearning}
)


def name_of(baseline: Baseline) -> str:
    return next(name for name, kind in BASELINES.items() if type(baseline) is kind)


# As with MR.Q: small control tasks on one CPU core, in some 10,000 steps. Widths, batches and
# updates a step are those of MR.Q's preset, so that a comparison is one of algorithms.
_SMALL: Mapping[str, Baseline] = {
    "dqn": DQN(
        hidden_dim=128,
        learning_rate=1e-3,
        batch_size=64,
        buffer_size=200_000,
        warmup_steps=1_000,
        train_every=1,
        target_update_every=250,
        exploration_steps=3_000,
    ),
    "td3": TD3(hidden_dim=128, batch_size=64, buffer_size=200_000, warmup_steps=1_000),
    "sac": SAC(
        hidden_dim=128,
        learning_rate=1e-3,
        batch_size=64,
        buffer_size=200_000,
        warmup_steps=1_000,
    ),
    "ppo": PPO(rollout_steps=256, learning_rate=1e-3),
    "q_learning": QLearning(learning_rate=0.5, exploration_steps=3_000),
}
PRESETS: Mapping[str, Mapping[str, Baseline]] = MappingProxyType(
    {"paper": {name: kind() for name, kind in BASELINES.items()}, "small": _SMALL}
)
