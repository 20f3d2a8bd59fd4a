"""How good a policy is, without a trace left in its training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.environments import Frame, Outcome, environment_of
from mrq_core.observations import FrameHistory
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.policy import Policy
from mrq_core.progress import Alive, unheard
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed

# Golden pairs of an exported policy: enough to notice any wrong weight or preprocessing.
SAMPLE_STATES = 16
# Images are large, and each pixel says less: they stop at about this many numbers.
SAMPLED_NUMBERS = 100_000
FEWEST_SAMPLES = 2


@dataclass
class Evaluation:
    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    # Of the network's inputs in the first episodes every `stride`-th, spread over all of them and
    # never many, for images are large.
    states: list[NDArray[Any]] = field(default_factory=list)
    seen: int = 0
    stride: int = 1
    # Of a policy that was not played: its only return is an estimate.
    estimate: OffPolicyEstimate | None = None

    def collect(self, state: NDArray[Any]) -> None:
        if self.seen % self.stride == 0:
            self.states.append(state)
        self.seen += 1
        if len(self.states) == 4 * SAMPLE_STATES:
            self.states = self.states[::2]
            self.stride *= 2

    def sample_states(self) -> NDArray[Any]:
        """(N, *S), spread over the episode; repeated if there were fewer."""
        size = self.states[0].size
        n = min(SAMPLE_STATES, max(FEWEST_SAMPLES, SAMPLED_NUMBERS // size))
        chosen = np.linspace(0, len(self.states) - 1, n).round()
        return np.stack([self.states[int(index)] for index in chosen])


class Evaluator:
    """Its environment, seeds and generators are its own. The seeds are the same at every step of
    the run, so that two evaluations differ by the policy alone."""

    def __init__(self, run: TrainingRun, alive: Alive = unheard) -> None:
        self.run = run
        self.alive = alive
        self.environment = environment_of(run, "validation")

    def evaluate(self, policy: Policy | BaselinePolicy, step: int) -> Evaluation:
        evaluation = Evaluation()
        for episode in range(self.run.evaluation_episodes):
            self._play(policy, step, episode, evaluation)
        return evaluation

    def _acts_at_random(self, chance: np.random.Generator) -> bool:
        epsilon = self.run.evaluation_epsilon
        return epsilon > 0 and chance.random() < epsilon

    def close(self) -> None:
        self.environment.close()

    def _play(
        self, policy: Policy | BaselinePolicy, step: int, episode: int, evaluation: Evaluation
    ) -> None:
        seed = derive_seed(self.run.seed, "evaluation", episode)
        generator = torch.Generator(self.run.device)
        generator.manual_seed(derive_seed(self.run.seed, "evaluation-noise", episode))
        chance = np.random.default_rng(derive_seed(self.run.seed, "evaluation-chance", episode))
        collects = len(evaluation.states) < SAMPLE_STATES
        seen: Frame | Outcome = self.environment.reset(seed, step)
        history = FrameHistory(self.environment.form)
        history.begin(seen.observation)
        total, length, ended = 0.0, 0, False
        while not ended:
            state = history.input()
            if collects:
                evaluation.collect(state)
            masks = None if seen.mask is None else seen.mask[None]
            if self._acts_at_random(chance):
                action = self.environment.codec.uniform(chance, seen.mask)
            else:
                action = policy.act(state[None], self.run.evaluation_mode, generator, masks)[0]
            seen = outcome = self.environment.step(self.environment.executable(action), step)
            history.append(outcome.observation)
            self.alive()
            total, length = total + outcome.reward, length + 1
            ended = outcome.terminated or outcome.truncated
        evaluation.returns.append(total)
        evaluation.lengths.append(length)
        evaluation.seeds.append(seed)
