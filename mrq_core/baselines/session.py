"""A baseline's run in progress; see `mrq_core.session`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np

from mrq_core.baselines import checkpoint
from mrq_core.baselines.course import Course
from mrq_core.baselines.learner import Learner
from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.baselines.q_learning import QLearner
from mrq_core.baselines.settings import QLearning
from mrq_core.digest import arrays_sha256
from mrq_core.environments import environment_of
from mrq_core.errors import MissingPackage, NonFiniteError
from mrq_core.progress import Alive, unheard
from mrq_core.run import End, TrainingRun
from mrq_core.session import Episode, begin_episode
from mrq_core.spaces import Floats

INSTALL = "pip install 'mrq-service[baselines]'"


class BaselineSession:
    def __init__(self, run: TrainingRun, alive: Alive = unheard) -> None:
        self.run = run
        self.alive = alive
        self.environment = environment_of(run)
        try:
            self.course = Course(self.environment, partial(begin_episode, run, self.environment))
            self.learner = _learner(run, self.course)
        except BaseException:
            self.environment.close()
            raise
        self.best_return = -math.inf

    @property
    def step(self) -> int:
        return self.course.step

    @property
    def episode(self) -> Episode:
        return self.course.episode

    @episode.setter
    def episode(self, episode: Episode) -> None:
        self.course.episode = episode

    @property
    def end(self) -> End | None:
        return self.run.end_at(self.step, self.episode.index, self.best_return)

    def advance(self) -> None:
        self.course.step += 1
        self.learner.step()
        self.alive()

    def policy(self) -> BaselinePolicy:
        return self.learner.policy()

    def seen(self) -> tuple[Floats, Floats] | None:
        """Unknown: not every library keeps what it learnt from."""
        return None

    def weights_sha256(self) -> str:
        return arrays_sha256(self.learner.networks())

    def save(self, directory: Path, previous: Path | None = None) -> None:  # noqa: ARG002
        """Everything anew: the library's replay is one ring, without whole segments to share."""
        checkpoint.save(self, directory)

    def resume(self, directory: Path) -> bool:
        return checkpoint.restore(self, directory)

    def begin_from(self, directory: Path) -> None:  # noqa: ARG002
        raise AssertionError("a baseline begins with nothing")

    def begin_episode(self, index: int) -> Episode:
        return begin_episode(self.run, self.environment, index, self.step)

    def cut_episode(self) -> None:
        self.episode = self.begin_episode(self.episode.index + 1)

    def parameter_count(self) -> int:
        return self.learner.parameter_count()

    def report(self) -> dict[str, float]:
        return self.course.progress.take() | self.learner.facts()

    def require_finite(self) -> None:
        for name, array in self.learner.networks().items():
            if not np.isfinite(array).all():
                raise NonFiniteError(self.step, f"the learner's {name}")


def _learner(run: TrainingRun, course: Course) -> Learner:
    settings = run.baseline
    assert settings is not None
    if isinstance(settings, QLearning):
        return QLearner(settings, run, course)
    try:
        from mrq_core.baselines.library import learner_of
    except ModuleNotFoundError as error:
        raise MissingPackage(f"{error.name} is not installed here: {INSTALL}") from error
    return learner_of(settings, run, course)
