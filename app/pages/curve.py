"""The return curve of a job: what the chart, the drawing and the table are made from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.orm import Session

from store.series import effective_evaluations, read_series
from store.states import CheckpointKind
from store.tables import Checkpoint, Evaluation, Job

EPISODES_KEY = "train/return"
MAX_EPISODE_POINTS = 600


@dataclass(frozen=True, kw_only=True)
class Curve:
    evaluations: Sequence[Evaluation]
    episodes: Sequence[tuple[int, float]]  # step, return of training episodes; finite ones only
    checkpoints: Sequence[int]  # steps of the training checkpoints
    total_steps: int

    @property
    def measured(self) -> list[Evaluation]:
        """Those that have a place on an axis: an infinite or NaN return makes the mean so too."""
        return [e for e in self.evaluations if math.isfinite(e.return_mean)]

    @property
    def best(self) -> Evaluation | None:
        return max(self.measured, key=lambda e: (e.return_mean, e.step), default=None)

    def to_json(self) -> str:
        """Columns, for the chart in the browser."""
        columns: dict[str, Any] = {
            "step": [e.step for e in self.evaluations],
            "mean": [e.return_mean for e in self.evaluations],
            "low": [ends_of(e)[0] for e in self.evaluations],
            "high": [ends_of(e)[1] for e in self.evaluations],
            "episodeStep": [step for step, _ in self.episodes],
            "episodeReturn": [value for _, value in self.episodes],
            "checkpoints": list(self.checkpoints),
            "best": None if self.best is None else self.best.step,
            "total": self.total_steps,
        }
        return orjson.dumps(columns).decode()


def ends_of(evaluation: Evaluation) -> tuple[float, float]:
    """The lowest and the highest return; of an estimate by a log the ends of its interval."""
    if evaluation.estimate is not None:
        fitted = evaluation.estimate["fitted"]
        return fitted["low"], fitted["high"]
    return min(evaluation.returns), max(evaluation.returns)


def read_curve(session: Session, job: Job, checkpoints: Sequence[Checkpoint]) -> Curve:
    series = read_series(session, job, EPISODES_KEY, max_points=MAX_EPISODE_POINTS)
    return Curve(
        evaluations=effective_evaluations(session, job),
        episodes=[(step, value) for step, value in series.points if not isinstance(value, str)],
        checkpoints=sorted({c.step for c in checkpoints if c.kind == CheckpointKind.TRAINING}),
        total_steps=job.total_steps,
    )
