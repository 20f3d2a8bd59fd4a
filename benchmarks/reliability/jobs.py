"""The jobs of the campaign: the real algorithm, as small as it can be."""

from collections.abc import Mapping
from typing import Any

# Everything that waits in production waits less here.
SHORT_WAITS: Mapping[str, str] = {
    "MRQ_LEASE_SECONDS": "4",
    "MRQ_HEARTBEAT_SECONDS": "0.5",
    "MRQ_REAP_SECONDS": "0.5",
    "MRQ_RING_AGAIN_SECONDS": "3",
    "MRQ_BACKOFF_SECONDS": "0.2",
}
# Narrow enough to take seconds, wide enough to be the real algorithm.
TINY: Mapping[str, int] = {
    "zs_dim": 16,
    "zsa_dim": 16,
    "za_dim": 8,
    "encoder_hidden_dim": 16,
    "value_hidden_dim": 16,
    "policy_hidden_dim": 16,
    "batch_size": 16,
    "warmup_steps": 200,
}


def tiny(environment: str, seed: int, steps: int, **changes: Any) -> dict[str, Any]:
    job = {
        "environment": {"id": environment},
        "algorithm": {"preset": "small", "hyperparameters": dict(TINY)},
        "budget": {"total_steps": steps},
        "evaluation": {"every_steps": 200, "episodes": 2},
        "checkpointing": {"every_steps": 100, "keep": 2},
        "seed": seed,
    }
    return {**job, **changes}


# What a kill may break differs: continuous and discrete actions, kinds of ends, and how often
# checkpoints and evaluations come, at the same step and at others.
SPECS: Mapping[str, dict[str, Any]] = {
    "pendulum": tiny("Pendulum-v1", 3, 700),
    "cartpole": tiny("CartPole-v1", 5, 800),
    "pendulum-often": tiny("Pendulum-v1", 7, 600, checkpointing={"every_steps": 40, "keep": 3}),
    "taxi": tiny("Taxi-v4", 2, 700, evaluation={"every_steps": 350, "episodes": 1}),
    "mountain-car": tiny(
        "MountainCar-v0",
        4,
        650,
        evaluation={"every_steps": 325, "episodes": 1},
        checkpointing={"every_steps": 65, "keep": 2},
    ),
    # For a campaign of a minute.
    "pendulum-short": tiny("Pendulum-v1", 3, 350, checkpointing={"every_steps": 50}),
    "cartpole-short": tiny("CartPole-v1", 5, 350, checkpointing={"every_steps": 50}),
}
LONG = tuple(name for name in SPECS if not name.endswith("-short"))
