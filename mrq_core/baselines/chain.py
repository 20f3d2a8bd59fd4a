"""The way from an observation to an action through a model's networks, layer by layer."""

from __future__ import annotations

from typing import Any

import stable_baselines3 as library
from stable_baselines3.common.torch_layers import NatureCNN
from torch import nn

from mrq_core.baselines.policy import Ending, Scale


def chain_of(model: Any) -> tuple[nn.Sequential, Ending, float]:
    """With the noise of one that acts by chance. SAC's own noise depends on what it sees, and a
    served policy has one number for it: none."""
    match model:
        case library.DQN():
            q_net = model.q_net
            return _chain(q_net.features_extractor, q_net.q_net), "logits", 0.0
        case library.TD3():
            # Without the last layer, the tanh.
            layers = _chain(model.actor.features_extractor, model.actor.mu[:-1])
            return layers, "tanh", _noise(model)
        case library.SAC():
            actor: Any = model.actor
            return _chain(actor.features_extractor, actor.latent_pi, actor.mu), "tanh", 0.0
        case library.PPO():
            policy = model.policy
            body = policy.mlp_extractor.policy_net
            layers = _chain(policy.pi_features_extractor, body, policy.action_net)
            spread = getattr(policy, "log_std", None)
            if spread is None:
                return layers, "logits", 0.0
            return layers, "clip", float(spread.detach().exp().mean())
    raise AssertionError(f"no way through a {type(model).__name__}")


def _chain(extractor: nn.Module, *parts: nn.Module) -> nn.Sequential:
    layers: list[nn.Module] = []
    if isinstance(extractor, NatureCNN):
        layers += [Scale(), *extractor.cnn, *extractor.linear]
    for part in parts:
        layers += part if isinstance(part, nn.Sequential) else [part]
    return nn.Sequential(*layers)


def _noise(model: Any) -> float:
    return float(model.action_noise._sigma.mean())
