"""A training step of MR.Q written down as plainly as its equations allow, for comparison only.

The same update as `mrq_core.agent`, without anything done for speed: AdamW as it comes, every
backward pass through everything, the value heads one after the other, images shifted by sampling
them bilinearly, replayed slots found by a cumulative sum over all priorities. What `make bench`
divides by. Equation numbers are those of arXiv 2501.16142.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mrq_core.agent import Noise
from mrq_core.config import Hyperparameters
from mrq_core.replay import EncoderBatch, Replay, ValueBatch

SHIFT = 4


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


class PlainEncoder(nn.Module):
    def __init__(self, h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int) -> None:
        super().__init__()
        hidden = h.encoder_hidden_dim
        self.pixels = len(input_shape) == 3
        if self.pixels:
            self.convolutions = nn.ModuleList(
                nn.Conv2d(n, 32, 3, stride)
                for n, stride in zip((input_shape[0], 32, 32, 32), (2, 2, 2, 1), strict=True)
            )
            self.projection = nn.Linear(
                self._convolve(torch.zeros(1, *input_shape)).numel(), h.zs_dim
            )
        else:
            self.zs1 = nn.Linear(input_shape[0], hidden)
            self.zs2 = nn.Linear(hidden, hidden)
            self.zs3 = nn.Linear(hidden, h.zs_dim)
        self.za = nn.Linear(action_dim, h.za_dim)
        self.zsa1 = nn.Linear(h.zs_dim + h.za_dim, hidden)
        self.zsa2 = nn.Linear(hidden, hidden)
        self.zsa3 = nn.Linear(hidden, h.zsa_dim)
        self.model = nn.Linear(h.zsa_dim, 1 + h.zs_dim + h.num_bins)

    def _convolve(self, images: Tensor) -> Tensor:
        x = images / 255.0 - 0.5
        for convolution in self.convolutions:
            x = F.elu(convolution(x))
        return x.flatten(1)

    def f(self, state: Tensor) -> Tensor:
        if self.pixels:
            return F.elu(norm(self.projection(self._convolve(state))))
        x = F.elu(norm(self.zs1(state)))
        x = F.elu(norm(self.zs2(x)))
        return F.elu(norm(self.zs3(x)))

    def g(self, zs: Tensor, action: Tensor) -> Tensor:
        x = torch.cat([zs, F.elu(self.za(action))], -1)
        x = F.elu(norm(self.zsa1(x)))
        x = F.elu(norm(self.zsa2(x)))
        zsa: Tensor = self.zsa3(x)
        return zsa


class PlainValue(nn.Module):
    def __init__(self, h: Hyperparameters) -> None:
        super().__init__()
        hidden = h.value_hidden_dim
        self.heads = nn.ModuleList(
            nn.ModuleList(
                nn.Linear(n, m)
                for n, m in ((h.zsa_dim, hidden), (hidden, hidden), (hidden, hidden), (hidden, 1))
            )
            for _ in range(2)
        )

    def forward(self, zsa: Tensor) -> Tensor:
        values = []
        for head in self.heads:
            assert isinstance(head, nn.ModuleList)
            x = zsa
            for layer in head[:-1]:
                x = F.elu(norm(layer(x)))
            values.append(head[-1](x))
        return torch.cat(values, 1)


class PlainPolicy(nn.Module):
    def __init__(self, h: Hyperparameters, action_dim: int) -> None:
        super().__init__()
        self.layer1 = nn.Linear(h.zs_dim, h.policy_hidden_dim)
        self.layer2 = nn.Linear(h.policy_hidden_dim, h.policy_hidden_dim)
        self.layer3 = nn.Linear(h.policy_hidden_dim, action_dim)

    def forward(self, zs: Tensor) -> Tensor:
        x = F.relu(norm(self.layer1(zs)))
        x = F.relu(norm(self.layer2(x)))
        u: Tensor = self.layer3(x)
        return u


class PlainAgent:
    """Continuous actions, or one discrete choice. The weights start as PyTorch draws them."""

    def __init__(
        self, h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int, *, discrete: bool
    ) -> None:
        self.h = h
        self.discrete = discrete
        self.encoder = PlainEncoder(h, input_shape, action_dim)
        self.value = PlainValue(h)
        self.policy = PlainPolicy(h, action_dim)
        self.update_targets()
        self.encoder_optimizer = torch.optim.AdamW(
            self.encoder.parameters(), h.encoder_lr, weight_decay=h.encoder_weight_decay
        )
        self.value_optimizer = torch.optim.AdamW(
            self.value.parameters(), h.value_lr, weight_decay=h.value_weight_decay
        )
        self.policy_optimizer = torch.optim.AdamW(
            self.policy.parameters(), h.policy_lr, weight_decay=h.policy_weight_decay
        )
        self.bins = symexp(torch.linspace(-h.bin_range, h.bin_range, h.num_bins))
        self.reward_scale = 1.0
        self.target_reward_scale = 1.0
        self.training_steps = 0

    def train(self, replay: PlainReplay) -> None:
        """One training step (Algorithm 1)."""
        if self.training_steps % self.h.target_update_every == 0:
            self.update_targets()
            self.target_reward_scale = self.reward_scale
            self.reward_scale = replay.mean_abs_reward()
            for _ in range(self.h.target_update_every):
                self.update_encoder(replay.sample_encoder())
        self.training_steps += 1
        slots, batch = replay.sample_value()
        noise = self.draw_noise(batch.action.shape)
        _, priority = self.update_value(batch, noise)
        self.update_policy(batch.state, noise)
        replay.priority[slots] = priority

    def update_targets(self) -> None:
        self.encoder_target = copy.deepcopy(self.encoder)
        self.value_target = copy.deepcopy(self.value)
        self.policy_target = copy.deepcopy(self.policy)

    def draw_noise(self, shape: torch.Size) -> Noise:
        def gumbel() -> Tensor:
            return -torch.empty(shape).exponential_().log()

        return Noise(torch.randn(shape), gumbel(), gumbel())

    def update_encoder(self, batch: EncoderBatch) -> Tensor:
        """Equation 14. Returns the loss, as the next two do."""
        h = self.h
        with torch.no_grad():
            target_zs = self.encoder_target.f(batch.next_state.flatten(0, 1))
            target_zs = target_zs.view(*batch.next_state.shape[:2], h.zs_dim)
        zs = self.encoder.f(batch.state)
        alive = torch.ones(len(zs), 1)
        loss = torch.zeros(())
        for i in range(h.enc_horizon):
            prediction = self.encoder.model(self.encoder.g(zs, batch.action[:, i]))
            terminal, zs, logits = prediction.split([1, h.zs_dim, h.num_bins], 1)
            terminated = batch.terminated[:, i, None].float()
            loss = loss + h.lambda_dynamics * (alive * (zs - target_zs[:, i]) ** 2).mean()
            code = two_hot(batch.reward[:, i], self.bins)
            cross_entropy = -(code * logits.log_softmax(1)).sum(1, keepdim=True)
            loss = loss + h.lambda_reward * (alive * cross_entropy).mean()
            if batch.terminations_seen:
                loss = loss + h.lambda_terminal * (alive * (terminal - terminated) ** 2).mean()
            alive = alive * (1 - terminated)
        self.encoder_optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.encoder_optimizer.step()
        return loss.detach()

    def update_value(self, batch: ValueBatch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Equation 19. The loss, and the batch's new priorities."""
        h = self.h
        with torch.no_grad():
            value, alive = torch.zeros(len(batch.reward)), torch.ones(len(batch.reward))
            for i in range(h.q_horizon):
                value = value + h.discount**i * alive * batch.reward[:, i]
                alive = alive * (1 - batch.terminated[:, i].float())
            zs = self.encoder_target.f(batch.next_state)
            action = self.noisy(self.policy_target(zs), noise)
            q = self.value_target(self.encoder_target.g(zs, action)).amin(1)
            value = value + h.discount**h.q_horizon * alive * q * self.target_reward_scale
            target = (value / self.reward_scale)[:, None].expand(-1, 2)
            zsa = self.encoder.g(self.encoder.f(batch.state), batch.action)
        q = self.value(zsa)
        loss = F.smooth_l1_loss(q, target)
        self.value_optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.value.parameters(), h.value_grad_clip)
        self.value_optimizer.step()
        error = (q.detach() - target).abs().amax(1)
        return loss.detach(), error.clamp(min=h.min_priority) ** h.lap_alpha

    def update_policy(self, state: Tensor, noise: Noise) -> Tensor:
        """Equation 20."""
        zs = self.encoder.f(state).detach()
        u = self.policy(zs)
        q = self.value(self.encoder.g(zs, self.activate(u, noise.policy_gumbel)))
        loss: Tensor = -q.mean() + self.h.lambda_pre_activation * (u**2).mean()
        self.policy_optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.policy_optimizer.step()
        return loss.detach()

    def activate(self, u: Tensor, gumbel: Tensor) -> Tensor:
        return ((u + gumbel) / self.h.gumbel_tau).softmax(1) if self.discrete else u.tanh()

    def noisy(self, u: Tensor, noise: Noise) -> Tensor:
        scale = 0.5 if self.discrete else 1.0
        limit = scale * self.h.target_noise_clip
        offset = (scale * self.h.target_noise * noise.target).clamp(-limit, limit)
        action = self.activate(u, noise.target_gumbel) + offset
        if self.discrete:
            return F.one_hot(action.argmax(1), action.shape[1]).float()
        return action.clamp(-1, 1)


class PlainReplay:
    """What `replay` holds, copied once; nothing is added later."""

    def __init__(self, replay: Replay) -> None:
        size = replay.size
        self.h = replay.h
        self.history = replay.form.history
        self.frame = torch.from_numpy(replay.frame[:size].copy())
        self.action = torch.from_numpy(replay.action[:size].copy())
        self.reward = torch.from_numpy(replay.reward[:size].copy())
        self.terminated = torch.from_numpy(replay.terminated[:size].copy())
        self.age = torch.from_numpy(replay.age[:size].copy()).long()
        self.transition = torch.from_numpy(replay.transition[:size].copy())
        self.eligible = torch.from_numpy(replay.tree.leaves[:size] > 0)
        self.priority = torch.ones(size)

    def sample_slots(self) -> Tensor:
        total = torch.cumsum(self.priority * self.eligible, 0)
        return torch.searchsorted(total, torch.rand(self.h.batch_size) * total[-1], right=True)

    def sample_encoder(self) -> EncoderBatch:
        windows = self.sample_slots()[:, None] + torch.arange(self.h.enc_horizon + 1)
        states = torch.stack([self.state(column) for column in windows.T], 1)
        windows = windows[:, :-1] % len(self.reward)
        return EncoderBatch(
            states[:, 0], self.action[windows], states[:, 1:], self.reward[windows],
            self.terminated[windows], bool(self.terminated.any()),
        )  # fmt: skip

    def sample_value(self) -> tuple[Tensor, ValueBatch]:
        slots = self.sample_slots()
        windows = (slots[:, None] + torch.arange(self.h.q_horizon)) % len(self.reward)
        return slots, ValueBatch(
            self.state(slots), self.action[slots], self.state(slots + self.h.q_horizon),
            self.reward[windows], self.terminated[windows],
        )  # fmt: skip

    def state(self, slots: Tensor) -> Tensor:
        """(B, *S) float, images shifted by chance."""
        states = self.stack(slots)
        return random_shift(states, SHIFT) if states.dim() == 4 else states

    def stack(self, slots: Tensor) -> Tensor:
        slots = slots % len(self.reward)
        back = torch.arange(self.history - 1, -1, -1)
        frames = self.frame[slots[:, None] - torch.minimum(back, self.age[slots, None])]
        return frames.flatten(1, 2).float()

    def mean_abs_reward(self) -> float:
        return float(self.reward[self.transition].abs().mean())


def symexp(x: Tensor) -> Tensor:
    return x.sign() * (x.abs().exp() - 1)


def two_hot(x: Tensor, bins: Tensor) -> Tensor:
    """(B) -> (B, bins): the two bins around each x, weighted so that their mean is x."""
    upper = torch.searchsorted(bins, x.contiguous()).clamp(1, len(bins) - 1)
    weight = (x - bins[upper - 1]) / (bins[upper] - bins[upper - 1])
    code = torch.zeros(len(x), len(bins))
    rows = torch.arange(len(x))
    code[rows, upper - 1] = 1 - weight
    code[rows, upper] = weight
    return code


def random_shift(images: Tensor, pad: int) -> Tensor:
    """(B, C, H, W): each edge repeated `pad` times, then a window of the old size anywhere."""
    batch, _, height, width = images.shape
    padded = F.pad(images, (pad, pad, pad, pad), mode="replicate")
    shift = torch.randint(0, 2 * pad + 1, (batch, 2)).float()
    # grid_sample counts from -1 to 1 between the outer edges of the first and the last pixel.
    x = (torch.arange(width) + shift[:, :1] + 0.5) * 2 / (width + 2 * pad) - 1
    y = (torch.arange(height) + shift[:, 1:] + 0.5) * 2 / (height + 2 * pad) - 1
    grid = torch.stack([x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], -1)
    return F.grid_sample(padded, grid, align_corners=False)
