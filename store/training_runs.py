"""A job's spec as the algorithm takes it."""

from typing import Any

from mrq_core.run import DatasetFile, Offline, TrainingRun, WarmStart
from store.algorithm_spec import AlgorithmSpec
from store.spec import JobSpec, log_every_steps

UNREAD = ""


def training_run(spec: JobSpec, device: str, dataset: str | None = None) -> TrainingRun:
    """`dataset`: where its file is on this host; `UNREAD` where only the run's spec matters."""
    total = spec.budget.total_steps
    assert spec.evaluation.every_steps is not None
    assert spec.checkpointing.every_steps is not None
    assert spec.environment.limit_terminates is not None
    assert spec.evaluation.epsilon is not None
    return TrainingRun(
        environment_id=spec.environment.entry.gymnasium_id,
        environment_kwargs=spec.environment.kwargs,
        dataset=_dataset_file(spec, dataset),
        max_episode_steps=spec.environment.max_episode_steps,
        action_repeat=spec.environment.action_repeat,
        history=spec.environment.history,
        limit_terminates=spec.environment.limit_terminates,
        **_what_learns(spec.algorithm),
        total_steps=total,
        max_episodes=spec.budget.max_episodes,
        target_return=spec.early_stopping.target_return,
        seed=spec.seed,
        warm_start=_warm_start(spec),
        offline=None if (told := spec.algorithm.offline) is None else Offline(alpha=told.alpha),
        evaluation_every=spec.evaluation.every_steps,
        evaluation_episodes=spec.evaluation.episodes,
        evaluation_mode=spec.evaluation.action_mode,
        evaluation_epsilon=spec.evaluation.epsilon,
        checkpoint_every=spec.checkpointing.every_steps,
        log_every=log_every_steps(total),
        device=device,
    )


def _what_learns(algorithm: AlgorithmSpec) -> dict[str, Any]:
    if algorithm.baseline is not None:
        return {"baseline": algorithm.baseline}
    return {"hyperparameters": algorithm.mrq}


def _warm_start(spec: JobSpec) -> WarmStart | None:
    begins = spec.init_from
    if begins is None:
        return None
    assert begins.sha256 is not None, "it is resolved"
    return WarmStart(sha256=begins.sha256, load=begins.load)


def _dataset_file(spec: JobSpec, path: str | None) -> DatasetFile | None:
    fact = spec.environment.dataset
    if fact is None:
        return None
    assert path is not None, "the supervisor has brought it"
    return DatasetFile(
        path=path,
        sha256=fact.sha256,
        roles=fact.roles,
        features=tuple(fact.features),
        choices=fact.choices if fact.role == "transitions" else None,
    )
