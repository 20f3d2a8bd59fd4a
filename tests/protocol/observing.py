"""The database and the artifact folder, in the words of the model."""

from collections import defaultdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.database import Database
from store.invariants import REPORTED_ALWAYS
from store.series import effective_evaluations, read_series
from store.tables import Attempt, Checkpoint, Job
from tests.protocol.model import Made

_NAMES = {
    "number": Job.number,
    "total_steps": Job.total_steps,
    "status": Job.status,
    "reason": Job.reason,
    "desired": Job.desired,
    "grace": Job.grace_seconds,
    "epoch": Job.epoch,
    "lease_until": Job.lease_until,
    "not_before": Job.not_before,
    "rung_at": Job.dispatched_at,
    "attempts_since_progress": Job.attempts_since_progress,
    "infrastructure_failures": Job.infrastructure_failures,
    "error_failures": Job.error_failures,
    "counted_after": Job.clock_after_attempt,
    "step": Job.step,
    "resume": Job.resume_checkpoint_id,
    "weights": Job.weights_sha256,
    "finished_at": Job.finished_at,
    "best": Job.best_checkpoint_id,
    "best_return": Job.best_return,
}


class Observer:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._made: dict[str | None, Made | None] = {None: None}  # of a checkpoint, also a past one

    def rows(self) -> list[dict[str, Any]]:
        """As `ModelJob.row`, in order of submission."""
        with self._database.read() as session:
            checkpoints = self._checkpoints(session)
            tries = self._tries(session)
            query = select(*_NAMES.values()).order_by(Job.number)
            rows = [dict(zip(_NAMES, values, strict=True)) for values in session.execute(query)]
        for row in rows:
            number = row["number"]
            row["resume"], row["best"] = self._made[row["resume"]], self._made[row["best"]]
            row["tries"] = tries[number]
            for kind, name in (("training", "training"), ("policy", "policies")):
                row[name] = sorted(checkpoints[number, kind])
        return rows

    def curve(self, number: int) -> list[int]:
        """The steps that a reader of the job's metrics sees."""
        with self._database.read() as session:
            job = session.get_one(Job, number)
            series = read_series(session, job, REPORTED_ALWAYS, max_points=1_000_000)
            return [step for step, _ in series.points]

    def evaluations(self, number: int) -> list[Made]:
        with self._database.read() as session:
            found = effective_evaluations(session, session.get_one(Job, number))
            return sorted(Made(each.attempt, each.step) for each in found)

    def _checkpoints(self, session: Session) -> dict[tuple[int, str], list[Made]]:
        query = select(
            Checkpoint.id,
            Checkpoint.job_number,
            Checkpoint.kind,
            Checkpoint.attempt,
            Checkpoint.step,
        )
        found: dict[tuple[int, str], list[Made]] = defaultdict(list)
        for identity, number, kind, attempt, step in session.execute(query):
            self._made[identity] = Made(attempt, step)
            found[number, kind].append(Made(attempt, step))
        return found

    def _tries(self, session: Session) -> dict[int, list[tuple[Any, ...]]]:
        query = select(
            Attempt.job_number,
            Attempt.status,
            Attempt.reason,
            Attempt.start_step,
            Attempt.resumed_from,
        ).order_by(Attempt.job_number, Attempt.number)
        found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for number, status, reason, start_step, resumed_from in session.execute(query):
            found[number].append((status, reason, start_step, self._made[resumed_from]))
        return found
