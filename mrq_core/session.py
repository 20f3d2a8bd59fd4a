"""A run in progress: one environment, one agent, and how they take a step together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrq_core import checkpoint
from mrq_core.agent import Agent
from mrq_core.environments import Environment, Outcome
from mrq_core.errors import NonFiniteError
from mrq_core.progress import Progress
from mrq_core.replay import Replay
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed
from mrq_core.spaces import Floats


@dataclass
class Episode:
    """The one under way. Its seed and actions are enough to come back to this very point."""

    index: int
    seed: int
    observation: Floats
    # In the environment's own units, as they were executed.
    actions: list[Any] = field(default_factory=list)
    total_reward: float = 0.0


class Session:
    def __init__(self, run: TrainingRun) -> None:
        h = run.hyperparameters
        self.run = run
        self.environment = Environment(
            run.environment_id,
            run.environment_kwargs,
            run.max_episode_steps,
            run.action_repeat,
        )
        observation_dim = self.environment.observation_space.flat_size
        self.codec = self.environment.codec
        self.agent = Agent(
            h,
            observation_dim,
            self.codec.action_dim,
            discrete=self.codec.discrete,
            seed=run.seed,
            device=run.device,
        )
        self.replay = Replay(
            h,
            observation_dim,
            self.codec.action_dim,
            np.random.default_rng(derive_seed(run.seed, "replay")),
            self.agent.device,
        )
        self.warmup_rng = np.random.default_rng(derive_seed(run.seed, "warmup"))
        self.progress = Progress()
        self.step = 0
        self.episode = self.begin_episode(0)

    def advance(self) -> None:
        """One step in the environment and, after the warm-up, one of training."""
        self.step += 1
        action = self._choose_action()
        executed = self.environment.executable(action)
        outcome = self.environment.step(executed, self.step)
        self._remember(action, executed, outcome)
        self._learn()
        if outcome.terminated or outcome.truncated:
            self._end_episode(outcome)

    def save(self, directory: Path) -> None:
        checkpoint.save(self, directory)

    def resume(self, directory: Path) -> bool:
        """Also replays the episode under way; ResumeError if the checkpoint does not fit.

        False if the environment did not come back to where it was, as on another kind of machine:
        the episode then ends there, truncated, and the next one begins.
        """
        return checkpoint.restore(self, directory)

    def cut_episode(self) -> None:
        """Ends the stored episode where it stands, as a time limit would."""
        if self.replay.episode_length > 0:
            self.replay.cut_episode(self.episode.observation)
        self.episode = self.begin_episode(self.episode.index + 1)

    def parameter_count(self) -> int:
        networks = (self.agent.encoder, self.agent.value, self.agent.policy)
        return sum(p.numel() for network in networks for p in network.parameters())

    def report(self) -> dict[str, float]:
        """The metrics since the last report."""
        facts = {"replay/size": float(self.replay.size), "reward_scale": self.agent.reward_scale}
        return self.progress.take() | facts

    def _choose_action(self) -> Floats:
        if self.replay.size < self.run.hyperparameters.warmup_steps:
            return self._uniform_action()
        observation = torch.from_numpy(self.episode.observation).to(self.agent.device)
        action: Floats = self.agent.explore(observation[None])[0].cpu().numpy()
        return action

    def _uniform_action(self) -> Floats:
        if not self.codec.discrete:
            return self.warmup_rng.uniform(-1.0, 1.0, self.codec.action_dim).astype(np.float32)
        action = np.zeros(self.codec.action_dim, np.float32)
        action[self.warmup_rng.integers(self.codec.action_dim)] = 1.0
        return action

    def _remember(self, action: Floats, executed: Any, outcome: Outcome) -> None:
        self.replay.add(
            self.episode.observation,
            action,
            outcome.reward,
            outcome.observation,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
        )
        self.episode.actions.append(executed)
        self.episode.observation = outcome.observation
        self.episode.total_reward += outcome.reward

    def _learn(self) -> None:
        warm = self.replay.size > self.run.hyperparameters.warmup_steps
        if not (warm and self.replay.has_eligible):
            return
        encoder, policy_loss, value = self.agent.train(self.replay)
        tensors = {
            "loss/value": value.loss,
            "loss/policy": policy_loss,
            "q/mean": value.q.mean(),
            "target/mean": value.target.mean(),
        }
        if encoder is not None:
            tensors |= {
                "loss/encoder": encoder.loss,
                "loss/dynamics": encoder.dynamics,
                "loss/reward": encoder.reward,
                "loss/terminal": encoder.terminal,
            }
        # One transfer for all of them.
        values = dict(zip(tensors, torch.stack(list(tensors.values())).tolist(), strict=True))
        for name, number in values.items():
            if not math.isfinite(number):
                raise NonFiniteError(self.step, name)
        self.progress.add(values)

    def _end_episode(self, outcome: Outcome) -> None:
        self.progress.add(
            {
                "train/return": self.episode.total_reward,
                "train/length": float(len(self.episode.actions)),
                "train/terminated": float(outcome.terminated),
            }
        )
        self.episode = self.begin_episode(self.episode.index + 1)

    def begin_episode(self, index: int) -> Episode:
        seed = derive_seed(self.run.seed, "episode", index)
        return Episode(index, seed, self.environment.reset(seed, self.step))
