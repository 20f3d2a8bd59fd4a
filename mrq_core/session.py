"""A run in progress: one environment, one agent, and how they take a step together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mrq_core import checkpoint, warm_start
from mrq_core.actions import Mask
from mrq_core.agent import Agent
from mrq_core.digest import weights_sha256
from mrq_core.environments import Environment, Outcome, environment_of
from mrq_core.errors import EnvironmentFault, NonFiniteError
from mrq_core.observations import FrameHistory
from mrq_core.policy import Policy, policy_of
from mrq_core.progress import Alive, Progress, unheard
from mrq_core.replay import Replay
from mrq_core.run import End, TrainingRun
from mrq_core.seeds import derive_seed
from mrq_core.spaces import Floats

# Truncated ones before a run without a single window to learn from is given up.
HOPELESS_EPISODES = 100


@dataclass
class Episode:
    """The one under way. Its seed and actions are enough to come back to this very point."""

    index: int
    seed: int
    observation: NDArray[Any]
    mask: Mask | None
    history: FrameHistory
    # In the environment's own units, as they were executed.
    actions: list[Any] = field(default_factory=list)
    total_reward: float = 0.0

    def see(self, outcome: Outcome) -> None:
        self.observation, self.mask = outcome.observation, outcome.mask
        self.history.append(outcome.observation)

    def metrics(self, last: Outcome) -> dict[str, float]:
        return {
            "train/return": self.total_reward,
            "train/length": float(len(self.actions)),
            "train/terminated": float(last.terminated),
        }


def begin_episode(run: TrainingRun, environment: Environment, index: int, step: int) -> Episode:
    seed = derive_seed(run.seed, "episode", index)
    first = environment.reset(seed, step)
    history = FrameHistory(environment.form)
    history.begin(first.observation)
    return Episode(index, seed, first.observation, first.mask, history)


class Session:
    def __init__(self, run: TrainingRun, alive: Alive = unheard) -> None:
        h = run.hyperparameters
        self.run = run
        self.alive = alive
        self.environment = environment_of(run)
        self.codec = self.environment.codec
        self.agent = Agent(
            h,
            self.environment.form.input_shape,
            self.codec.action_dim,
            components=self.codec.components,
            seed=run.seed,
            device=run.device,
            alpha=None if run.offline is None else run.offline.alpha,
        )
        self.replay = Replay(
            h,
            self.environment.form,
            self.codec.action_dim,
            np.random.default_rng(derive_seed(run.seed, "replay")),
            self.agent.device,
            masked=self.environment.masked,
        )
        self.warmup_rng = np.random.default_rng(derive_seed(run.seed, "warmup"))
        self.progress = Progress()
        self.step = 0
        self.best_return = -math.inf  # highest mean of an evaluation so far
        self.episode = self.begin_episode(0)

    @property
    def end(self) -> End | None:
        """None: there is more to do."""
        return self.run.end_at(self.step, self.episode.index, self.best_return)

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

    def policy(self) -> Policy:
        return policy_of(self.agent)

    def weights_sha256(self) -> str:
        return weights_sha256(self.agent)

    def seen(self) -> tuple[Floats, Floats] | None:
        return self.replay.seen()

    def save(self, directory: Path, previous: Path | None = None) -> None:
        checkpoint.save(self, directory, previous)

    def resume(self, directory: Path) -> bool:
        """Also replays the episode under way; ResumeError if the checkpoint does not fit.

        False if the device is of another kind, whose noise is then drawn anew, or if the
        environment did not come back to where it was, as on another kind of machine: the episode
        then ends there, truncated, and the next one begins.
        """
        return checkpoint.restore(self, directory)

    def begin_from(self, directory: Path) -> None:
        """With what the run of that checkpoint had learnt; ResumeError if it does not fit."""
        warm_start.begin_from(self, directory)

    def cut_episode(self) -> None:
        """Ends the stored episode where it stands, as a time limit would."""
        if self.replay.episode_length > 0:
            self.replay.cut_episode(self.episode.observation, self.episode.mask)
        self.episode = self.begin_episode(self.episode.index + 1)

    def parameter_count(self) -> int:
        networks = (self.agent.encoder, self.agent.value, self.agent.policy)
        return sum(p.numel() for network in networks for p in network.parameters())

    def report(self) -> dict[str, float]:
        """The metrics since the last report."""
        facts = {"replay/size": float(self.replay.size), "reward_scale": self.agent.reward_scale}
        return self.progress.take() | facts

    def _choose_action(self) -> Floats:
        episode = self.episode
        if self.replay.size < self.run.hyperparameters.warmup_steps:
            return self.codec.uniform(self.warmup_rng, episode.mask)
        state = torch.from_numpy(episode.history.input()).to(self.agent.device)
        mask = None if episode.mask is None else torch.from_numpy(episode.mask).to(state.device)
        action: Floats = self.agent.explore(state[None], mask)[0].cpu().numpy()
        return action

    def require_finite(self) -> None:
        """NonFiniteError that names the tensor, before a checkpoint keeps it for good."""
        for name, network in self.agent.networks().items():
            for key, tensor in network.state_dict().items():
                if not torch.isfinite(tensor).all():
                    raise NonFiniteError(self.step, f"the {name}'s {key}")

    def _remember(self, action: Floats, executed: Any, outcome: Outcome) -> None:
        episode = self.episode
        self.replay.add(
            episode.observation,
            action,
            outcome.reward,
            outcome.observation,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            mask=episode.mask,
            next_mask=outcome.mask,
        )
        episode.actions.append(executed)
        episode.see(outcome)
        episode.total_reward += outcome.reward
        if abs(outcome.reward) > self.agent.reward_model.limit:
            self.progress.count("reward/clamped")

    def _learn(self) -> None:
        if self.replay.size <= self.run.hyperparameters.warmup_steps:
            return
        if not self.replay.has_eligible:
            self._refuse_if_hopeless()
            return
        self.train_once()

    def train_once(self) -> None:
        encoder, policy_loss, value = self.agent.train(self.replay, self.alive)
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

    def _refuse_if_hopeless(self) -> None:
        """Nothing to learn from after the warm-up, and what led there will not change."""
        if self.episode.index < HOPELESS_EPISODES or self.replay.terminations_seen:
            return
        horizon = self.run.hyperparameters.horizon
        raise EnvironmentFault(
            self.step,
            f"all {self.episode.index} episodes were cut off (truncated) after at most {horizon} "
            f"steps, and a window of {horizon} transitions never fits: nothing can be learned. "
            "Longer episodes or shorter horizons (enc_horizon, q_horizon) change that, or an "
            "environment that reports the end of its task as a termination",
        )

    def _end_episode(self, outcome: Outcome) -> None:
        self.progress.add(self.episode.metrics(outcome))
        self.episode = self.begin_episode(self.episode.index + 1)

    def begin_episode(self, index: int) -> Episode:
        return begin_episode(self.run, self.environment, index, self.step)
