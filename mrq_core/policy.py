"""What serves: the state encoder and the policy network, and what was learnt beside them."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mrq_core.actions import Mask
from mrq_core.agent import Agent
from mrq_core.heads import ActionHead
from mrq_core.networks import Encoder, PolicyNetwork
from mrq_core.run import ActionMode
from mrq_core.spaces import Floats
from mrq_core.world_model import WorldModel, world_model_of


class Policy:
    def __init__(
        self,
        encoder: Encoder,
        network: PolicyNetwork,
        head: ActionHead,
        exploration_noise: float,
        model: WorldModel,
    ) -> None:
        self.encoder = encoder
        self.network = network
        self.head = head
        self.exploration_noise = exploration_noise
        self.model = model

    @torch.no_grad()
    def act(
        self,
        states: NDArray[Any],
        mode: ActionMode,
        generator: torch.Generator,
        masks: Mask | None = None,
    ) -> Floats:
        """(B, *S), and (B, A) of what is legal -> the network's actions (B, A): in [-1, 1], or
        one-hot."""
        u = self._pre_activation(states)
        mask = None if masks is None else torch.from_numpy(masks).to(u.device)
        if mode == "deterministic":
            return _array(self.head.deterministic(u, mask))
        return _array(self.head.sample(u, self.exploration_noise, generator, mask))

    @torch.no_grad()
    def outputs(self, states: NDArray[Any]) -> Floats:
        """(B, *S) -> (B, A): the action of a continuous policy, the logits of a discrete one."""
        return _array(self.head.output(self._pre_activation(states)))

    def encode(self, states: NDArray[Any]) -> Tensor:
        """(B, *S) -> zs (B, zs_dim)."""
        device = self.network.output.weight.device
        return self.encoder.encode_state(torch.from_numpy(states).to(device))

    def _pre_activation(self, states: NDArray[Any]) -> Tensor:
        u: Tensor = self.network(self.encode(states))
        return u


def policy_of(agent: Agent) -> Policy:
    """Shares the agent's networks: it changes as the agent learns."""
    noise, model = agent.h.exploration_noise, world_model_of(agent)
    return Policy(agent.encoder, agent.policy, agent.head, noise, model)


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.cpu().numpy()
    return array
