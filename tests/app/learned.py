"""Policies of MR.Q with their models, as a job exports them: weights as after training."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from mrq_core.actions import action_codec
from mrq_core.agent import Agent
from mrq_core.config import PRESETS, Hyperparameters
from mrq_core.export import export_policy
from mrq_core.observations import ObservationForm
from mrq_core.policy import Policy, policy_of
from mrq_core.spaces import Floats, Space
from store.results import PolicyBundle
from tests.app.bundles import OBSERVATION

HORIZON = 3
SMALL = replace(PRESETS["small"], zs_dim=16, zsa_dim=16, za_dim=8, enc_horizon=HORIZON)


@dataclass(frozen=True)
class Learned:
    policy: Policy
    bundle: PolicyBundle


FORM = ObservationForm("vector", (3,), 1)


def rows(count: int, width: int = 3) -> Floats:
    return np.random.default_rng(count).standard_normal((count, width)).astype(np.float32)


def learned(space: Space, h: Hyperparameters = SMALL, form: ObservationForm = FORM) -> Learned:
    """Of observations of three numbers, or of the last few of them."""
    torch.set_num_threads(1)
    codec = action_codec(space)
    agent = Agent(h, form.input_shape, codec.action_dim, components=codec.components, seed=0)
    agent.reward_scale = 2.5
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (*agent.encoder.parameters(), *agent.value.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    policy = policy_of(agent)
    exported = export_policy(
        policy,
        environment_id="Pendulum-v1",
        environment_kwargs={},
        observation_space=OBSERVATION,
        action_space=space,
        hyperparameters=h,
        step=1,
        weights_sha256="",
        form=form,
        masked=False,
        sample_states=rows(8, form.input_size),
    )
    bundle = PolicyBundle(onnx=exported.onnx, manifest=exported.manifest, model=exported.model)
    return Learned(policy, bundle)
