"""Judges a policy by the episodes of a log that it has not learnt from."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.environments import environment_of
from mrq_core.errors import NonFiniteError
from mrq_core.evaluation import SAMPLE_STATES, Evaluation
from mrq_core.logged.filling import Judged, judged, lived, thinned, usable
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
    policy alone. EnvironmentFault for a log that has too little to judge by."""

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
        some = usable(self.log, np.arange(self.log.episodes))[:SAMPLE_STATES]
        self.shown = lived(self.log, thinned(self.log, some), form, codec).states

    def evaluate(self, policy: Policy | BaselinePolicy, step: int) -> Evaluation:
        """Without returns if there is nothing to judge by. NonFiniteError for values beyond what
        a number can say."""
        assert isinstance(policy, Policy), "a baseline learns from no log"
        evaluation = Evaluation()
        for state in self.shown[:: max(1, len(self.shown) // SAMPLE_STATES)]:
            evaluation.collect(state)
        if self.judged is not None:
            estimate = self._estimate(policy, self.judged, step)
            evaluation.estimate = estimate
            evaluation.returns.append(estimate.fitted.value)
        return evaluation

    def close(self) -> None:
        self.environment.close()

    def _estimate(self, policy: Policy, log: Judged, step: int) -> OffPolicyEstimate:
        discount = self.run.hyperparameters.discount
        rng = np.random.default_rng(derive_seed(self.run.seed, "evaluation"))
        weights = resampled(log.episodes, rng)
        acting, logging = self._fits(policy, log, step)
        fitted = values_of(acting, weights, self.alive)
        _require_finite(step, "the policy's value by the log", fitted)
        gained = np.bincount(log.episode, log.rewards * discount**log.moment)
        weighted, effective = self._weighted(policy, log, weights)
        return OffPolicyEstimate(
            discount=discount,
            episodes=log.episodes,
            fitted=interval(fitted),
            logged=interval(weights @ gained / weights.sum(axis=1)),
            lead=self._lead(fitted, logging, log, weights, step),
            weighted=weighted,
            effective_episodes=effective,
        )

    def _lead(
        self,
        fitted: NDArray[np.float64],
        logging: list[Fit],
        log: Judged,
        weights: NDArray[np.float64],
        step: int,
    ) -> Interval | None:
        """Not over what was gained: that stops where an episode was cut off, and `fitted` does not.
        Of resamples in which it is nowhere known what was done next nothing is said."""
        followed = np.bincount(log.episode[log.followed], minlength=log.episodes)
        known = weights @ followed > 0
        if not known[0]:
            return None
        theirs = values_of(logging, weights, self.alive)[known]
        _require_finite(step, "the logging policy's value by the log", theirs)
        return interval(fitted[known] - theirs)

    def _fits(self, policy: Policy, log: Judged, step: int) -> tuple[list[Fit], list[Fit]]:
        """Of the policy, and of whoever was logged. In the embedding of state and action, whose
        purpose is that values are linear in it; and in that with random units beside it, for early
        in a run, and of small networks, they are not."""
        starts = log.states[log.first]
        asked = [
            (log.states, log.actions),
            (log.next_states, self._acts(policy, log.next_states)),
            (starts, self._acts(policy, starts)),
            (log.next_states, log.next_actions),
        ]
        learnt = [self._pairs(policy, *each) for each in asked]
        _require_finite(step, "the embedding of a logged state and an action", *learnt)
        units = RandomUnits(log.states, log.actions.shape[1])
        wider = [
            np.column_stack([pairs, units(*each)])
            for pairs, each in zip(learnt, asked, strict=True)
        ]
        both = [self._fits_in(embedding, log) for embedding in (learnt, wider)]
        return [acting for acting, _ in both], [logging for _, logging in both]

    def _fits_in(self, embedding: list[NDArray[np.float64]], log: Judged) -> tuple[Fit, Fit]:
        discount = self.run.hyperparameters.discount
        features, following, first, logged = in_common_units(*embedding)
        following[log.terminated] = logged[log.terminated] = 0.0
        known = log.followed
        return (
            Fit(features, following, first, log.rewards, log.episode, discount),
            Fit(
                features[known],
                logged[known],
                features[log.first],
                log.rewards[known],
                log.episode[known],
                discount,
            ),
        )

    def _weighted(
        self, policy: Policy, log: Judged, weights: NDArray[np.float64]
    ) -> tuple[Interval | None, float | None]:
        if log.propensities is None or not self.environment.codec.discrete:
            return None, None
        same = (self._acts(policy, log.states) == log.actions).all(axis=1)
        discount = self.run.hyperparameters.discount
        log_ratios = np.where(same, -np.log(log.propensities), -np.inf)
        found = importance_weighted(
            log_ratios, log.rewards, log.episode, log.moment, discount, weights, self.alive
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


def _require_finite(step: int, what: str, *values: NDArray[np.float64]) -> None:
    if not all(np.isfinite(each).all() for each in values):
        raise NonFiniteError(step, what)
