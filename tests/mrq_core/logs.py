"""Runs on logs of the cart, made small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.offline.uploaded import uploaded
from mrq_core.config import Hyperparameters
from mrq_core.run import Offline, TrainingRun

NETWORKS = Hyperparameters(
    zs_dim=64,
    zsa_dim=96,
    za_dim=32,
    encoder_hidden_dim=64,
    value_hidden_dim=64,
    policy_hidden_dim=64,
    batch_size=64,
    encoder_lr=5e-4,
    target_update_every=50,
    buffer_size=20_000,
    discount=0.95,
)


def offline_run(content: bytes, folder: Path, **changes: Any) -> TrainingRun:
    asked: dict[str, Any] = {
        "environment_id": "mrq_core.tasks:mrq/Logged-v0",
        "dataset": uploaded(content, folder),
        "hyperparameters": NETWORKS,
        "total_steps": 200,
        "offline": Offline(alpha=2.5),
    }
    return TrainingRun(**(asked | changes))
