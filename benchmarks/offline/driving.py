"""A learnt policy at the cart's wheel."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.offline.cart import Driver, Numbers
from mrq_core.actions import ActionCodec
from mrq_core.policy import Policy


def driver_of(policy: Policy, codec: ActionCodec) -> Driver:
    def drive(state: Numbers) -> Numbers:
        action = policy.act(state.astype(np.float32), "deterministic", torch.Generator())
        pushed = codec.to_environment(action).astype(np.float64)
        return pushed - 1.0 if codec.discrete else pushed[:, 0]

    return drive
