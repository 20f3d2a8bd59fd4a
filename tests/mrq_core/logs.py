"""Runs on logs of the cart, made small."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.offline.cart import Driver, Numbers
from mrq_core.actions import ActionCodec
from mrq_core.config import Hyperparameters
from mrq_core.csv_table import Limits
from mrq_core.logged.reading import read_log
from mrq_core.policy import Policy
from mrq_core.run import DatasetFile, Offline, TrainingRun

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
    path = folder / "log.csv"
    path.write_bytes(content)
    columns = read_log(io.BytesIO(content), Limits()).columns
    dataset = DatasetFile(
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        roles=columns.roles,
        features=columns.features,
        choices=columns.choices,
    )
    asked: dict[str, Any] = {
        "environment_id": "mrq_core.tasks:mrq/Logged-v0",
        "dataset": dataset,
        "hyperparameters": NETWORKS,
        "total_steps": 200,
        "offline": Offline(alpha=2.5),
    }
    return TrainingRun(**(asked | changes))


def driver_of(policy: Policy, codec: ActionCodec) -> Driver:
    """The learnt policy at the cart's wheel."""

    def drive(state: Numbers) -> Numbers:
        action = policy.act(state.astype(np.float32), "deterministic", torch.Generator())
        pushed = codec.to_environment(action).astype(np.float64)
        return pushed - 1.0 if codec.discrete else pushed[:, 0]

    return drive
