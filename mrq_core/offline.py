"""A run that learns from a log: nobody acts, and the log is all that is ever replayed."""

from __future__ import annotations

from typing import cast

import numpy as np

from mrq_core.errors import EnvironmentFault
from mrq_core.logged.filling import fill
from mrq_core.progress import Alive, unheard
from mrq_core.run import TrainingRun
from mrq_core.session import Session
from mrq_core.tasks.logged import Logged


class OfflineSession(Session):
    """A step is one of training. What is resumed brings the replay along, as of any run."""

    def __init__(self, run: TrainingRun, alive: Alive = unheard) -> None:
        super().__init__(run, alive)
        logged = cast(Logged, self.environment.env.unwrapped)
        fill(self.replay, logged.log, np.flatnonzero(~logged.is_judged), self.codec, alive)
        if not self.replay.has_eligible:
            raise EnvironmentFault(
                0,
                f"no episode of the log is terminated or longer than {run.hyperparameters.horizon} "
                "steps: nothing can be learned. Shorter horizons (enc_horizon, q_horizon) change "
                "that",
            )

    def advance(self) -> None:
        self.step += 1
        self.train_once()
