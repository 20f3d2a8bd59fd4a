"""A run as a stream of events. No database, no clock, and no file but the checkpoint resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

from mrq_core.baselines.session import BaselineSession
from mrq_core.bundle import PolicyBundle
from mrq_core.evaluation import Evaluator
from mrq_core.events import (
    CheckpointDue,
    Evaluated,
    Event,
    Finished,
    Progressed,
    Started,
    Stopped,
)
from mrq_core.export import export_policy
from mrq_core.off_policy.evaluator import OffPolicyEvaluator
from mrq_core.offline import OfflineSession
from mrq_core.progress import Alive, unheard
from mrq_core.run import TrainingRun as TrainingRun
from mrq_core.session import Session

AnySession: TypeAlias = Session | BaselineSession
AnyEvaluator: TypeAlias = Evaluator | OffPolicyEvaluator


def never() -> bool:
    return False


def train(
    run: TrainingRun,
    *,
    resume_from: Path | None = None,
    begin_from: Path | None = None,
    stop: Callable[[], bool] = never,
    alive: Alive = unheard,
) -> Iterator[Event]:
    """`begin_from` is the checkpoint of `run.warm_start`; a run that is resumed needs it no more.

    Progress, evaluation and checkpoint of a step come in this order, after it.

    `stop` is asked before every step, `alive` is called as in `mrq_core.progress`. A run that is
    resumed yields from there on the very events that it would have yielded without the
    interruption; those of the checkpoint's own step are not repeated. Raises TrainingError, and
    SpaceError for an environment whose spaces are not known.
    """
    session = _session_of(run, alive)
    with closing(session.environment):
        exact = resume_from is None or session.resume(resume_from)
        if resume_from is None and begin_from is not None:
            session.begin_from(begin_from)
        yield Started(session.step, resume_from is not None, session.parameter_count(), exact)
        with closing(_evaluator_of(run, alive)) as evaluator:
            yield from _events(session, evaluator, stop, resumed=resume_from is not None)


def _session_of(run: TrainingRun, alive: Alive) -> AnySession:
    if run.baseline is not None:
        return BaselineSession(run, alive)
    return Session(run, alive) if run.offline is None else OfflineSession(run, alive)


def _evaluator_of(run: TrainingRun, alive: Alive) -> AnyEvaluator:
    return Evaluator(run, alive) if run.offline is None else OffPolicyEvaluator(run, alive)


def _events(
    session: AnySession, evaluator: AnyEvaluator, stop: Callable[[], bool], *, resumed: bool
) -> Iterator[Event]:
    run = session.run
    if not resumed:
        yield _evaluated(session, evaluator)
    last_checkpoint = -1
    while session.end is None:
        if stop():
            if last_checkpoint != session.step:
                session.require_finite()
                yield CheckpointDue(session.step, session)
            yield Stopped(session.step, session.weights_sha256())
            return
        session.advance()
        if session.step % run.log_every == 0:
            yield Progressed(session.step, session.episode.index, session.report())
        evaluates = session.end is not None or session.step % run.evaluation_every == 0
        checkpoints = session.step % run.checkpoint_every == 0
        if evaluates or checkpoints:
            session.require_finite()
        if evaluates:
            yield _evaluated(session, evaluator)
        if checkpoints or session.end is not None:  # perhaps only since that evaluation
            last_checkpoint = session.step
            yield CheckpointDue(session.step, session)
    yield Finished(session.step, session.weights_sha256(), session.end)


def _evaluated(session: AnySession, evaluator: AnyEvaluator) -> Evaluated:
    policy = session.policy()
    step = session.step
    evaluation = evaluator.evaluate(policy, step)
    if evaluation.returns:
        session.best_return = max(session.best_return, fmean(evaluation.returns))

    def export() -> PolicyBundle:
        assert session.step == step, "the weights have moved on since this evaluation"
        return export_policy(
            policy,
            environment_id=session.run.environment_id,
            environment_kwargs=session.run.environment_kwargs,
            observation_space=session.environment.observation_space,
            action_space=session.environment.action_space,
            hyperparameters=session.run.settings,
            step=step,
            weights_sha256=session.weights_sha256(),
            form=session.environment.form,
            masked=session.environment.masked,
            sample_states=evaluation.sample_states(),
            seen=session.seen(),
        )

    return Evaluated(
        step,
        tuple(evaluation.returns),
        tuple(evaluation.lengths),
        tuple(evaluation.seeds),
        session.run.evaluation_mode,
        export,
        evaluation.estimate,
    )
