"""DQN, TD3, SAC and PPO of Stable-Baselines3: its networks, its buffers and its updates.

The library's own loop cannot be left in the middle and taken up again; here the same calls are
made one step at a time (`OffPolicyAlgorithm.learn`, `OnPolicyAlgorithm.collect_rollouts` in 2.9).
It draws from the global generators of NumPy and torch, which nothing else in a trainer does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import stable_baselines3 as library
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import DummyVecEnv

from mrq_core.baselines import memory
from mrq_core.baselines.chain import chain_of
from mrq_core.baselines.course import Course
from mrq_core.baselines.learner import Learner
from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.baselines.settings import DQN, PPO, SAC, TD3
from mrq_core.baselines.view import View
from mrq_core.checkpoint import Arrays
from mrq_core.errors import NonFiniteError
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed

OffPolicy: TypeAlias = DQN | TD3 | SAC

ONE_STEP = TrainFreq(1, TrainFrequencyUnit.STEP)
# The library's names, and those that MR.Q's metrics have.
METRICS: Mapping[str, str] = {
    "train/loss": "loss/value",
    "train/critic_loss": "loss/value",
    "train/value_loss": "loss/value",
    "train/actor_loss": "loss/policy",
    "train/policy_gradient_loss": "loss/policy",
    "train/entropy_loss": "loss/entropy",
    "train/ent_coef": "temperature",
    "rollout/exploration_rate": "exploration",
}


def learner_of(settings: OffPolicy | PPO, run: TrainingRun, course: Course) -> Learner:
    if isinstance(settings, PPO):
        return OnPolicyLearner(settings, run, course)
    return OffPolicyLearner(settings, run, course)


class LibraryLearner(ABC):
    """What the four have in common."""

    def __init__(self, model: Any, course: Course, schedule_steps: int) -> None:
        self.model = model
        self.course = course
        # It would make a folder for its logs, and print.
        model.set_logger(Logger(folder=None, output_formats=[]))
        _, self._callback = model._setup_learn(schedule_steps)
        self._generators: Mapping[str, Any] | None = None

    def policy(self) -> BaselinePolicy:
        environment = self.course.environment
        layers, ending, noise = chain_of(self.model)
        shape, components = environment.form.input_shape, environment.codec.components
        return BaselinePolicy(layers, shape, components, ending, noise)

    def networks(self) -> Arrays:
        return memory.networks(self.model)

    def parameter_count(self) -> int:
        return memory.parameter_count(self.model)

    def facts(self) -> dict[str, float]:
        return {}

    def save(self) -> tuple[Arrays, Arrays, dict[str, Any]]:
        learned = memory.learned(self.model) | memory.generators(self.model)
        numbers = {"counters": memory.counters(self.model), "drawn": memory.drawn(self.model)}
        remembered, place = self._remembered()
        return learned, remembered, {**numbers, "place": place}

    def restore(self, learned: Arrays, remembered: Arrays, numbers: dict[str, Any]) -> None:
        memory.restore(self.model, learned, numbers["counters"])
        self._remember(remembered, numbers["place"])
        # Only once the episode has been replayed: whose environment may draw from them.
        self._generators = {"arrays": learned, "drawn": numbers["drawn"]}

    def resumed(self, *, exact: bool) -> None:
        assert self._generators is not None
        self.model._last_obs = self.course.episode.history.input()[None]
        if not exact:
            self._forget_episode()
        memory.set_generators(self.model, **self._generators)

    @abstractmethod
    def _remembered(self) -> tuple[Arrays, dict[str, Any]]:
        """The columns of its memory, and its place in them."""

    @abstractmethod
    def _remember(self, arrays: Arrays, place: dict[str, Any]) -> None:
        """Of what `_remembered` gave."""

    @abstractmethod
    def _forget_episode(self) -> None:
        """What was remembered of an episode that cannot be gone on with."""

    def _report(self) -> None:
        """What the library has recorded since the last time."""
        logger = self.model.logger
        found = {METRICS[k]: float(v) for k, v in logger.name_to_value.items() if k in METRICS}
        logger.dump(self.course.step)  # to nobody: this is how it forgets
        for name, value in found.items():
            if not math.isfinite(value):
                raise NonFiniteError(self.course.step, name)
        self.course.progress.add(found)


class OffPolicyLearner(LibraryLearner):
    def __init__(self, settings: OffPolicy, run: TrainingRun, course: Course) -> None:
        # Random exploration ends after so many steps; nothing else depends on it.
        steps = settings.exploration_steps if isinstance(settings, DQN) else 1
        super().__init__(_off_policy(settings, run, course), course, steps)
        self.settings = settings

    def step(self) -> None:
        model, settings = self.model, self.settings
        model.collect_rollouts(
            model.env,
            train_freq=ONE_STEP,
            action_noise=model.action_noise,
            callback=self._callback,
            learning_starts=model.learning_starts,
            replay_buffer=model.replay_buffer,
        )
        step = model.num_timesteps
        if step > settings.warmup_steps and step % settings.train_every == 0:
            model.train(batch_size=settings.batch_size, gradient_steps=settings.updates)
        self._report()

    def facts(self) -> dict[str, float]:
        return {"replay/size": float(self.model.replay_buffer.size())}

    def _remembered(self) -> tuple[Arrays, dict[str, Any]]:
        buffer = self.model.replay_buffer
        columns = {name: getattr(buffer, name)[: buffer.size()] for name in memory.REPLAY_COLUMNS}
        return columns, {"pos": buffer.pos, "full": buffer.full}

    def _remember(self, arrays: Arrays, place: dict[str, Any]) -> None:
        memory.fill(self.model.replay_buffer, memory.REPLAY_COLUMNS, arrays, place)

    def _forget_episode(self) -> None:
        """Nothing: a transition of the replay stands for itself."""


class OnPolicyLearner(LibraryLearner):
    def __init__(self, settings: PPO, run: TrainingRun, course: Course) -> None:
        super().__init__(_ppo(settings, run, course), course, 1)

    def step(self) -> None:
        model, buffer = self.model, self.model.rollout_buffer
        model.policy.set_training_mode(False)
        seen = model._last_obs
        with torch.no_grad():
            chosen, value, log_prob = model.policy(obs_as_tensor(seen, model.device))
        action = chosen.cpu().numpy()
        # A Gaussian has no bounds; what is learned from is the action as it was drawn.
        continuous = not self.course.environment.codec.discrete
        executed = np.clip(action, -1.0, 1.0) if continuous else action
        new, reward, ended, infos = model.env.step(executed)
        model.num_timesteps += 1
        if ended[0] and infos[0]["TimeLimit.truncated"]:
            reward[0] += model.gamma * self._value(infos[0]["terminal_observation"][None])[0, 0]
        starts = model._last_episode_starts
        buffer.add(seen, action.reshape(1, -1), reward, starts, value, log_prob)
        model._last_obs, model._last_episode_starts = new, ended
        if buffer.full:
            buffer.compute_returns_and_advantage(self._value(new), ended)
            model.train()
            buffer.reset()
        self._report()

    def _value(self, observations: Any) -> torch.Tensor:
        with torch.no_grad():
            seen = obs_as_tensor(observations, self.model.device)
            values: torch.Tensor = self.model.policy.predict_values(seen)
        return values.cpu()

    def _remembered(self) -> tuple[Arrays, dict[str, Any]]:
        buffer = self.model.rollout_buffer
        columns = {name: getattr(buffer, name)[: buffer.pos] for name in memory.ROLLOUT_COLUMNS}
        starts = bool(self.model._last_episode_starts[0])
        return columns, {"pos": buffer.pos, "full": False, "starts": starts}

    def _remember(self, arrays: Arrays, place: dict[str, Any]) -> None:
        memory.fill(self.model.rollout_buffer, memory.ROLLOUT_COLUMNS, arrays, place)
        self.model._last_episode_starts = np.array([place["starts"]])

    def _forget_episode(self) -> None:
        """Advantages go back along the steps, and these lead nowhere any more."""
        self.model.rollout_buffer.reset()
        self.model._last_episode_starts = np.array([True])


def _off_policy(settings: OffPolicy, run: TrainingRun, course: Course) -> Any:
    common = _common(settings, run, course) | {
        # It is allocated whole. One that is never filled is the same as a larger one, also to a
        # run that is continued for longer.
        "buffer_size": min(settings.buffer_size, run.total_steps + 1),
        "learning_starts": settings.warmup_steps,
        "train_freq": settings.train_every,
        "gradient_steps": settings.updates,
        "replay_buffer_class": ReplayBuffer,
    }
    match settings:
        case DQN():
            return library.DQN(
                **common,
                tau=settings.target_mix,
                target_update_interval=settings.target_update_every,
                max_grad_norm=settings.grad_clip,
                exploration_fraction=1.0,
                exploration_final_eps=settings.exploration_last,
            )
        case TD3():
            size = course.environment.codec.action_dim
            spread = settings.exploration_noise * np.ones(size)
            return library.TD3(
                **common,
                tau=settings.target_mix,
                policy_delay=settings.policy_delay,
                target_policy_noise=settings.target_noise,
                target_noise_clip=settings.target_noise_clip,
                action_noise=NormalActionNoise(np.zeros(size), spread),
            )
        case SAC():
            return library.SAC(**common, tau=settings.target_mix)


def _ppo(settings: PPO, run: TrainingRun, course: Course) -> Any:
    return library.PPO(
        **_common(settings, run, course),
        n_steps=settings.rollout_steps,
        n_epochs=settings.epochs,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip_range,
        ent_coef=settings.entropy_weight,
        vf_coef=settings.value_weight,
        max_grad_norm=settings.grad_clip,
    )


def _common(settings: OffPolicy | PPO, run: TrainingRun, course: Course) -> dict[str, Any]:
    pixels = course.environment.form.kind == "pixels"
    return {
        "policy": "CnnPolicy" if pixels else "MlpPolicy",
        "env": DummyVecEnv([lambda: View(course)]),
        "learning_rate": settings.learning_rate,
        "gamma": settings.discount,
        "batch_size": settings.batch_size,
        "policy_kwargs": {"net_arch": [settings.hidden_dim] * settings.hidden_layers},
        "seed": derive_seed(run.seed, "weights") % 2**32,  # the most that NumPy's takes
        "device": run.device,
    }
