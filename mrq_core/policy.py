"""What serves: the state encoder and the policy network, without anything that learns."""

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


class Policy:
    def __init__(
        self, encoder: Encoder, network: PolicyNetwork, head: ActionHead, exploration_noise: float
    ) -> None:
        self.encoder = encoder
        self.network = network
        self.head = head
        self.exploration_noise = exploration_noise

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

    def _pre_activation(self, states: NDArray[Any]) -> Tensor:
        device = self.network.output.weight.device
        u: Tensor = self.network(self.encoder.encode_state(torch.from_numpy(states).to(device)))
        return u


def policy_of(agent: Agent) -> Policy:
    """Shares the agent's networks: it changes as the agent learns."""
    return Policy(agent.encoder, agent.policy, agent.head, agent.h.exploration_noise)


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.cpu().numpy()
    return array
