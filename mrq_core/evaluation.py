"""How good a policy is, without a trace left in its training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from mrq_core.environments import Environment
from mrq_core.policy import Policy
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed
from mrq_core.spaces import Floats

# Golden pairs of an exported policy: enough to notice any wrong weight or preprocessing.
SAMPLE_OBSERVATIONS = 16


@dataclass
class Evaluation:
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    # Of the first episodes, until there are enough to choose from.
    observations: list[Floats] = field(default_factory=list)

    def sample_observations(self) -> Floats:
        """(SAMPLE_OBSERVATIONS, D), spread over the episode; repeated if there were fewer."""
        chosen = np.linspace(0, len(self.observations) - 1, SAMPLE_OBSERVATIONS).round()
        return np.stack([self.observations[int(index)] for index in chosen])


class Evaluator:
    """Its environment, seeds and generators are its own. The seeds are the same at every step of
    the run, so that two evaluations differ by the policy alone."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.environment = Environment(
            run.environment_id,
            run.environment_kwargs,
            run.max_episode_steps,
            run.action_repeat,
        )

    def evaluate(self, policy: Policy, step: int) -> Evaluation:
        evaluation = Evaluation()
        for episode in range(self.run.evaluation_episodes):
            self._play(policy, step, episode, evaluation)
        return evaluation

    def _play(self, policy: Policy, step: int, episode: int, evaluation: Evaluation) -> None:
        seed = derive_seed(self.run.seed, "evaluation", episode)
        generator = torch.Generator(self.run.device)
        generator.manual_seed(derive_seed(self.run.seed, "evaluation-noise", episode))
        collects = len(evaluation.observations) < SAMPLE_OBSERVATIONS
        observation = self.environment.reset(seed, step)
        total, length, ended = 0.0, 0, False
        while not ended:
            if collects:
                evaluation.observations.append(observation)
            action = policy.act(observation[None], self.run.evaluation_mode, generator)[0]
            outcome = self.environment.step(self.environment.executable(action), step)
            observation = outcome.observation
            total, length = total + outcome.reward, length + 1
            ended = outcome.terminated or outcome.truncated
        evaluation.returns.append(total)
        evaluation.lengths.append(length)
        evaluation.seeds.append(seed)
