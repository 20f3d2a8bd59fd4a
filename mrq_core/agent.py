"""MR.Q, the algorithm. Equation numbers are those of arXiv 2501.16142.

B batch, H horizon of the loss at hand, S shape of the network's input, A action, HEADS = 2 value
functions.
The `update_*` methods are pure but for the networks they train: a batch and its noise go in,
statistics come out as tensors, and nothing waits for the device.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mrq_core.augmentation import augmentation
from mrq_core.config import Hyperparameters
from mrq_core.heads import action_head
from mrq_core.networks import Encoder, PolicyNetwork, Value, initialise
from mrq_core.objectives import Greedy, PolicyObjective, StayClose
from mrq_core.progress import Alive, unheard
from mrq_core.replay import EncoderBatch, Replay, ValueBatch
from mrq_core.reward_model import reward_model
from mrq_core.seeds import derive_seed

SMALLEST_REWARD_SCALE = 1e-8

Batch = TypeVar("Batch", EncoderBatch, ValueBatch)


@dataclass(frozen=True)
class Noise:
    """The chance in the value's and the policy's update, but for the augmentation. Standard draws,
    before any scaling or clipping: (B, A)."""

    target: Tensor
    target_gumbel: Tensor
    policy_gumbel: Tensor


@dataclass(frozen=True)
class EncoderStatistics:
    loss: Tensor
    dynamics: Tensor
    reward: Tensor
    terminal: Tensor


@dataclass(frozen=True)
class ValueStatistics:
    loss: Tensor
    n_step_return: Tensor  # (B)
    n_step_continues: Tensor  # (B) bool: no termination within the horizon
    q: Tensor  # (B, HEADS)
    target_q: Tensor  # (B), the bootstrap before any scaling
    target: Tensor  # (B)
    priority: Tensor  # (B)
    zs: Tensor  # (B, zs_dim), for the policy's update


class Agent:
    def __init__(
        self,
        h: Hyperparameters,
        input_shape: tuple[int, ...],
        action_dim: int,
        *,
        components: tuple[int, ...] = (),
        seed: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        alpha: float | None = None,
    ) -> None:
        """`input_shape` S is (D,) or (C, H, W); `components` are the sizes of a discrete action's
        one-hots, none for a continuous action. `alpha`: of `StayClose`; None for none of it."""
        self.h = h
        self.device = torch.device(device)
        self.head = action_head(components, h.gumbel_tau)
        self.objective: PolicyObjective = Greedy() if alpha is None else StayClose(self.head, alpha)
        self.augment = augmentation(h.pixel_shift, input_shape)
        self.encoder = Encoder(h, input_shape, action_dim)
        self.value = Value(h)
        self.policy = PolicyNetwork(h, action_dim)
        initial = torch.Generator().manual_seed(derive_seed(seed, "weights"))
        for network in (self.encoder, self.value, self.policy):
            initialise(network, initial)
            network.to(self.device, dtype)
        self.encoder_target = _frozen_copy(self.encoder)
        self.value_target = _frozen_copy(self.value)
        self.policy_target = _frozen_copy(self.policy)
        self.encoder_optimizer = _adamw(self.encoder, h.encoder_lr, h.encoder_weight_decay)
        self.value_optimizer = _adamw(self.value, h.value_lr, h.value_weight_decay)
        self.policy_optimizer = _adamw(self.policy, h.policy_lr, h.policy_weight_decay)
        self.value_parameters = list(self.value.parameters())
        self.policy_parameters = list(self.policy.parameters())
        self.reward_model = reward_model(h, self.device, dtype)
        self.discounts = h.discount ** torch.arange(h.q_horizon, device=self.device, dtype=dtype)
        self.generator = torch.Generator(self.device)
        self.generator.manual_seed(derive_seed(seed, "noise"))
        self.training_steps = 0
        # The value networks' unit of return, and that of the value target's own training.
        self.reward_scale = 1.0
        self.target_reward_scale = 0.0

    @torch.no_grad()
    def explore(self, state: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, *S) -> (B, A), noise included: what is executed and stored."""
        u = self.policy(self.encoder.encode_state(state))
        action = self.head.activate(u, self.head.draw_gumbel(u.shape, self.generator), mask)
        noise = torch.randn(u.shape, generator=self.generator, device=self.device)
        noise *= self.h.exploration_noise * self.head.noise_scale
        return self.head.complete(action + noise, mask)

    def train(
        self, replay: Replay, alive: Alive = unheard
    ) -> tuple[EncoderStatistics | None, Tensor, ValueStatistics]:
        """One training step; the first and every `target_update_every`-th one begins with the
        targets' update and as many encoder updates as there are steps to the next (Algorithm 1).

        Returns the burst's mean statistics if there was one, the policy's loss, and the value's.
        """
        encoder = None
        if self.training_steps % self.h.target_update_every == 0:
            self.update_targets(replay.mean_abs_reward())
            if self.h.reset_max_priority:
                replay.reset_max_priority()
            encoder = self._train_encoder(replay, alive)
        self.training_steps += 1
        slots, batch = replay.sample_value()
        batch = self._augmented(batch)
        noise = self.draw_noise(batch.action.shape)
        value = self.update_value(batch, noise)
        policy_loss = self.update_policy(value.zs, noise, batch.mask, batch.action)
        replay.update_priorities(slots, value.priority.cpu().numpy())
        return encoder, policy_loss, value

    def update_targets(self, mean_abs_reward: float) -> None:
        """Hard copies; and the scale by which the value target was trained becomes its own."""
        for online, target in self._target_pairs():
            target.load_state_dict(online.state_dict())
        self.target_reward_scale = self.reward_scale
        if self.h.reward_scaling and (mean_abs_reward > 0 or not self.h.zero_reward_guard):
            self.reward_scale = max(mean_abs_reward, SMALLEST_REWARD_SCALE)

    def draw_noise(self, shape: torch.Size) -> Noise:
        return Noise(
            target=torch.randn(shape, generator=self.generator, device=self.device),
            target_gumbel=self.head.draw_gumbel(shape, self.generator),
            policy_gumbel=self.head.draw_gumbel(shape, self.generator),
        )

    def update_encoder(self, batch: EncoderBatch) -> EncoderStatistics:
        """Equation 14: unrolled over the horizon, with gradient through the predicted states."""
        with torch.no_grad():
            target_zs = self.encoder_target.encode_state(batch.next_state)  # (B, H, zs_dim)
        terminal, zs, reward_outputs = self._unroll(batch.state, batch.action)
        # The terminating transition still counts, nothing after it does.
        alive = before_termination(batch.terminated)  # (B, H)
        dynamics = (zs - target_zs).square().mean(-1)
        reward = self.reward_model.loss(reward_outputs, batch.reward)
        termination = (terminal - batch.terminated.to(terminal.dtype)).square()
        dynamics, reward, termination = (
            torch.where(alive, part, 0.0).mean(0).sum() for part in (dynamics, reward, termination)
        )
        loss = (
            self.h.lambda_dynamics * dynamics
            + self.h.lambda_reward * reward
            + self.h.lambda_terminal * termination * batch.terminations_seen
        )
        self.encoder_optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.encoder_optimizer.step()
        parts = (part.detach() for part in (loss, dynamics, reward, termination))
        return EncoderStatistics(*parts)

    def update_value(self, batch: ValueBatch, noise: Noise) -> ValueStatistics:
        """Equation 19, with the return and the bootstrap cut at a termination."""
        alive = before_termination(batch.terminated)
        n_step_return = (torch.where(alive, batch.reward, 0.0) * self.discounts).sum(1)
        continues = ~batch.terminated.any(1)
        with torch.no_grad():
            target_q = self._target_q(batch, noise)
            discount = self.h.discount**self.h.q_horizon
            bootstrap = torch.where(continues, target_q, 0.0) * discount * self.target_reward_scale
            target = (n_step_return + bootstrap) / self.reward_scale
            zs = self.encoder.encode_state(batch.state)
            zsa = self.encoder.encode_state_action(zs, batch.action)
        q = self.value(zsa)
        loss = F.smooth_l1_loss(q, target.unsqueeze(1).expand_as(q))
        self.value_optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.value_parameters, self.h.value_grad_clip)
        self.value_optimizer.step()
        q = q.detach()
        error = (q - target.unsqueeze(1)).abs().amax(1)
        priority = error.clamp(min=self.h.min_priority).pow(self.h.lap_alpha)
        return ValueStatistics(
            loss.detach(), n_step_return, continues, q, target_q, target, priority, zs
        )

    def update_policy(
        self,
        zs: Tensor,
        noise: Noise,
        mask: Tensor | None = None,
        logged: Tensor | None = None,
    ) -> Tensor:
        """Equation 20, or what the objective makes of it. Both heads are averaged; only the
        policy's own gradients are computed. `logged`: the actions of the batch."""
        u = self.policy(zs)
        action = self.head.activate(u, noise.policy_gumbel, mask)
        q = self.value(self.encoder.encode_state_action(zs, action))
        loss: Tensor = (
            self.objective.loss(q, u, logged) + self.h.lambda_pre_activation * u.square().mean()
        )
        gradients = torch.autograd.grad(loss, self.policy_parameters)
        for parameter, gradient in zip(self.policy_parameters, gradients, strict=True):
            parameter.grad = gradient
        self.policy_optimizer.step()
        return loss.detach()

    def networks(self) -> dict[str, nn.Module]:
        online = {"encoder": self.encoder, "value": self.value, "policy": self.policy}
        targets = {
            "encoder_target": self.encoder_target,
            "value_target": self.value_target,
            "policy_target": self.policy_target,
        }
        return online | targets

    def optimizers(self) -> dict[str, torch.optim.AdamW]:
        """By the name of the network that each trains."""
        return {
            "encoder": self.encoder_optimizer,
            "value": self.value_optimizer,
            "policy": self.policy_optimizer,
        }

    def _train_encoder(self, replay: Replay, alive: Alive) -> EncoderStatistics:
        updates = self.h.target_update_every
        total = torch.zeros(4, device=self.device)
        for _ in range(updates):
            step = self.update_encoder(self._augmented(replay.sample_encoder()))
            total += torch.stack([step.loss, step.dynamics, step.reward, step.terminal])
            alive()
        return EncoderStatistics(*(total / updates).unbind())

    def _augmented(self, batch: Batch) -> Batch:
        state = self.augment(batch.state, self.generator)
        next_state = self.augment(batch.next_state, self.generator)
        return replace(batch, state=state, next_state=next_state)

    def _unroll(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """State (B, *S) and actions (B, H, A) -> per step: termination, next zs, reward outputs."""
        zs = self.encoder.encode_state(state)
        pairs, states = [], []
        for za in self.encoder.encode_action(action).unbind(1):
            zsa = self.encoder.encode_pair(zs, za)
            zs = self.encoder.next_zs(zsa)
            pairs.append(zsa)
            states.append(zs)
        terminal, reward_outputs = self.encoder.predict_outcome(torch.stack(pairs, 1))
        return terminal, torch.stack(states, 1), reward_outputs

    def _target_q(self, batch: ValueBatch, noise: Noise) -> Tensor:
        """(B): the lower head, at the target policy's action with clipped noise."""
        scale = self.head.noise_scale
        limit = self.h.target_noise_clip * scale
        offset = (noise.target * self.h.target_noise * scale).clamp(-limit, limit)
        zs = self.encoder_target.encode_state(batch.next_state)
        action = self.head.activate(self.policy_target(zs), noise.target_gumbel, batch.next_mask)
        action = self.head.complete(action + offset, batch.next_mask)
        zsa = self.encoder_target.encode_state_action(zs, action)
        q: Tensor = self.value_target(zsa)
        return q.amin(1) if self.h.min_over_heads else q.mean(1)

    def _target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        return (
            (self.encoder, self.encoder_target),
            (self.value, self.value_target),
            (self.policy, self.policy_target),
        )


def before_termination(terminated: Tensor) -> Tensor:
    """(B, H) -> (B, H): true up to the first termination and at it, false after."""
    earlier = terminated.cumsum(1) - terminated.long()
    return earlier == 0


def _frozen_copy(network: Any) -> Any:
    return deepcopy(network).requires_grad_(False)


def _adamw(network: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """With its moments from the start, so that a checkpoint always holds the same arrays."""
    # Fused is 3.4 times as fast on the CPU, and the same to rounding.
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=lr, weight_decay=weight_decay, fused=True
    )
    for parameter in network.parameters():
        optimizer.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer
