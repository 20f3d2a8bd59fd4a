"""Judges a policy by the episodes of a log that it has not learnt from."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.environments import environment_of
from mrq_core.evaluation import SAMPLE_STATES, Evaluation
from mrq_core.logged.filling import Judged, judged
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.off_policy.fitted import Fit, in_common_units, values_of
from mrq_core.off_policy.importance import importance_weighted
from mrq_core.off_policy.random_units import RandomUnits
from mrq_core.off_policy.resampling import Interval, interval, resampled
from mrq_core.policy import Policy
from mrq_core.progress import Alive, unheard
from mrq_core.run import TrainingRun
from mrq_core.seeds import derive_seed
from mrq_core.spaces import Floats
from mrq_core.tasks.logged import Logged

CHUNK = 4_096


class OffPolicyEvaluator:
    """The resamples are the same at every step of the run, so that two evaluations differ by the
    policy alone."""

    def __init__(self, run: TrainingRun, alive: Alive = unheard) -> None:
        self.run = run
        self.alive = alive
        self.environment = environment_of(run, "validation")
        logged = cast(Logged, self.environment.env.unwrapped)
        self.log = logged.log
        codec, form = self.environment.codec, self.environment.form
        self.judged: Judged | None = None
        if logged.is_judged.any():
            self.judged = judged(self.log, np.flatnonzero(logged.is_judged), form, codec)
        shown = judged(self.log, np.arange(min(self.log.episodes, SAMPLE_STATES)), form, codec)
        self.shown = shown.states

    def evaluate(self, policy: Policy | BaselinePolicy, step: int) -> Evaluation:  # noqa: ARG002
        """Without returns if there is nothing to judge by."""
        assert isinstance(policy, Policy), "a baseline learns from no log"
        evaluation = Evaluation()
        for state in self.shown[:: max(1, len(self.shown) // SAMPLE_STATES)]:
            evaluation.collect(state)
        if self.judged is not None:
            estimate = self._estimate(policy, self.judged)
            evaluation.estimate = estimate
            evaluation.returns.append(estimate.fitted.value)
        return evaluation

    def close(self) -> None:
        self.environment.close()

    def _estimate(self, policy: Policy, log: Judged) -> OffPolicyEstimate:
        discount = self.run.hyperparameters.discount
        rng = np.random.default_rng(derive_seed(self.run.seed, "evaluation"))
        weights = resampled(log.episodes, rng)
        fitted = values_of(self._fits(policy, log), weights)
        gained = np.bincount(log.episode, log.rewards * discount**log.moment)
        logged = weights @ gained / weights.sum(axis=1)
        weighted, effective = self._weighted(policy, log, weights)
        return OffPolicyEstimate(
            discount=discount,
            episodes=log.episodes,
            fitted=interval(fitted),
            logged=interval(logged),
            lead=interval(fitted - logged),
            weighted=weighted,
            effective_episodes=effective,
        )

    def _fits(self, policy: Policy, log: Judged) -> list[Fit]:
        """In the embedding of state and action, whose purpose is that values are linear in it; and
        in that with random units beside it, for early in a run, and of small networks, they are
        not."""
        starts = log.states[log.first]
        asked = [
            (log.states, log.actions),
            (log.next_states, self._acts(policy, log.next_states)),
            (starts, self._acts(policy, starts)),
        ]
        learnt = [self._pairs(policy, *each) for each in asked]
        units = RandomUnits(log.states, log.actions.shape[1])
        wider = [
            np.column_stack([pairs, units(*each)])
            for pairs, each in zip(learnt, asked, strict=True)
        ]
        fits = []
        for embedding in (learnt, wider):
            features, following, first = in_common_units(*embedding)
            following[log.terminated] = 0.0
            discount = self.run.hyperparameters.discount
            fits.append(Fit(features, following, first, log.rewards, log.episode, discount))
        return fits

    def _weighted(
        self, policy: Policy, log: Judged, weights: NDArray[np.float64]
    ) -> tuple[Interval | None, float | None]:
        if log.propensities is None or not self.environment.codec.discrete:
            return None, None
        same = (self._acts(policy, log.states) == log.actions).all(axis=1)
        discount = self.run.hyperparameters.discount
        found = importance_weighted(
            same / log.propensities, log.rewards, log.episode, log.moment, discount, weights
        )
        return (None, 0.0) if found is None else (interval(found.values), found.effective_episodes)

    def _acts(self, policy: Policy, states: Floats) -> Floats:
        generator = torch.Generator(self.run.device)
        return np.concatenate(
            [
                policy.act(states[at : at + CHUNK], "deterministic", generator)
                for at in range(0, len(states), CHUNK)
            ]
        )

    @torch.no_grad()
    def _pairs(self, policy: Policy, states: Floats, actions: Floats) -> NDArray[np.float64]:
        """(N, zsa_dim)"""
        found: list[NDArray[Any]] = []
        device = policy.network.output.weight.device
        for at in range(0, len(states), CHUNK):
            state, action = (
                torch.from_numpy(each[at : at + CHUNK]).to(device) for each in (states, actions)
            )
            zs = policy.encoder.encode_state(state)
            found.append(policy.encoder.encode_state_action(zs, action).cpu().numpy())
            self.alive()
        return np.concatenate(found).astype(np.float64)
