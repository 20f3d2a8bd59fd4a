"""What a job that learns from a log may not be asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from store.spec_part import refused

if TYPE_CHECKING:
    from store.spec import JobSpec


def refuse_misfits(spec: "JobSpec") -> None:
    """The first that is found, as a check between fields."""
    for path, text in _misfits(spec):
        raise refused(path, text)


def _misfits(spec: "JobSpec") -> Iterator[tuple[str, str]]:
    environment, mode = spec.environment, spec.algorithm.mode
    is_log = environment.entry.dataset_role == "transitions"
    if is_log != (mode == "offline"):
        needed = "offline" if is_log else "online"
        yield "algorithm.mode", f"algorithm.mode={mode!r}: {environment.id} is for {needed!r} alone"
    if mode == "online":
        return
    steps = "nobody acts in a log"
    if environment.action_repeat != 1:
        told = f"environment.action_repeat={environment.action_repeat}"
        yield "environment.action_repeat", f"{told}: {steps}; allowed: 1"
    if spec.budget.max_episodes is not None:
        told = f"budget.max_episodes={spec.budget.max_episodes}"
        yield "budget.max_episodes", f"{told}: {steps}; allowed: null"
    if spec.evaluation.action_mode != "deterministic" or spec.evaluation.epsilon:
        path = "evaluation.epsilon" if spec.evaluation.epsilon else "evaluation.action_mode"
        yield path, f"{path}: a log judges what the policy does at best; leave it out"
    if spec.init_from is not None and spec.init_from.load == "all":
        yield "init_from.load", "init_from.load='all': the log is the replay; allowed: 'weights'"
    yield from _too_many(spec)


def _too_many(spec: "JobSpec") -> Iterator[tuple[str, str]]:
    size = spec.algorithm.mrq.buffer_size
    if logged_slots(spec) > size:
        path = "algorithm.hyperparameters.buffer_size"
        yield path, f"{path}={size}: the dataset needs {logged_slots(spec)}"


def logged_slots(spec: "JobSpec") -> int:
    """Of the replay, at most: each episode also has a last observation."""
    fact = spec.environment.dataset
    return 0 if fact is None else fact.rows + fact.episodes
