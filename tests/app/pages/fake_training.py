"""A training without an algorithm: it writes what a worker writes, by the store's functions."""

import math
from typing import Any

from store.artifacts import StoredFolder
from store.database import Database
from store.endings import finish, give_up_attempt
from store.jobs import submit_job
from store.ownership import Claim, claim_next, start_from
from store.policies import succeed
from store.results import (
    EvaluationResult,
    MetricRow,
    PolicyBundle,
    record_evaluation,
    record_progress,
    record_training_checkpoint,
)
from store.settings import Settings
from store.spec import JobSpec
from store.states import JobStatus, Reason
from store.tables import Job

SPEC: dict[str, Any] = {
    "name": "pendulum-small",
    "environment": {"id": "Pendulum-v1"},
    "algorithm": {"preset": "small", "hyperparameters": {"discount": 0.98}},
    "budget": {"total_steps": 10_000},
    "evaluation": {"every_steps": 500},
    "seed": 3,
}
MANIFEST: dict[str, Any] = {
    "format_version": 1,
    "environment_id": "Pendulum-v1",
    "observation_space": {
        "type": "box",
        "shape": [3],
        "dtype": "float32",
        "low": [-1.0, -1.0, -8.0],
        "high": [1.0, 1.0, 8.0],
    },
    "observation_dim": 3,
    "action_space": {
        "type": "box",
        "shape": [1],
        "dtype": "float32",
        "low": [-2.0],
        "high": [2.0],
    },
    "golden": {"observations": [[0.6, -0.8, 0.123456]], "outputs": [[0.5]], "actions": [[1.0]]},
}
BUNDLE = PolicyBundle(onnx=b"not read by the pages", manifest=MANIFEST)


def submit(database: Database, **changes: Any) -> Job:
    job, _ = submit_job(database, JobSpec.model_validate({**SPEC, **changes}))
    return job


class FakeTraining:
    """An attempt at the job that is first in the queue."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        claim = claim_next(database, settings, "gpu-0", "training-host")
        assert claim is not None, "a job must be queued"
        self.claim: Claim = claim
        start_from(database, claim, None)

    def progress(self, step: int, *, rate: float | None = 200.0, episode: float = -250.0) -> None:
        row = MetricRow(step=step, values={"train/return": episode, "loss/value": 0.5})
        record_progress(self.database, self.claim, step=step, steps_per_second=rate, rows=[row])

    def evaluate(self, step: int, *returns: float) -> str:
        """Returns the checkpoint's id."""
        result = EvaluationResult(
            step=step,
            action_mode="deterministic",
            returns=returns,
            lengths=[200] * len(returns),
            seeds=list(range(len(returns))),
        )
        return record_evaluation(self.database, self.claim, result, BUNDLE, keep=2)

    def save(self, step: int) -> None:
        stored = StoredFolder(
            folder=f"job/{step}",
            size_bytes=4_200_000,
            sha256="ab" * 32,
            files={"weights.safetensors": "cd" * 32},
            format_version=1,
        )
        record_training_checkpoint(self.database, self.claim, step, stored, keep=2)

    def learn(self, steps: int, *, start: int = 0, every: int = 500) -> None:
        """A curve as learning draws it."""
        for step in range(start + every, steps + 1, every):
            mean = -1300 + 1150 / (1 + math.exp(-(step - 3000) / 700))
            wobble = 60 * math.sin(step)
            for part in (0.25, 0.5, 0.75, 1):
                at = step - every + round(part * every)
                self.progress(at, episode=mean - 90 + 80 * math.sin(at * 1.7))
            self.evaluate(step, *(mean + wobble + 45 * math.cos(7 * i) for i in range(10)))
            if step % 2000 == 0:
                self.save(step)

    def succeed(self) -> None:
        succeed(self.database, self.claim, weights_sha256="ef" * 32)

    def fail(self, reason: Reason, message: str) -> None:
        finish(self.database, self.claim, JobStatus.FAILED, reason, message=message, exit_code=1)

    def stop_on_request(self) -> None:
        finish(self.database, self.claim, JobStatus.CANCELLED, Reason.CANCELLED_BY_USER)

    def lose(self, message: str) -> None:
        give_up_attempt(
            self.database,
            self.settings,
            self.claim,
            Reason.TRAINER_DIED,
            message=message,
            exit_code=-9,
        )
