"""Brings jobs into the states that only a worker can bring them into."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, func, select

from store.database import Database
from store.jobs import get_job, submit_job
from store.ownership import Claim, claim_next
from store.policies import succeed
from store.results import (
    EvaluationResult,
    MetricRow,
    PolicyBundle,
    record_evaluation,
    record_progress,
)
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Checkpoint, Table
from tests.app.bundles import linear_bundle

KEY = "test-key-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}


def spec(**changes: Any) -> dict[str, Any]:
    return {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 1000}} | changes


def submit(database: Database, **changes: Any) -> str:
    job, _ = submit_job(database, JobSpec.model_validate(spec(**changes)))
    return job.id


def claim(database: Database, settings: Settings) -> Claim:
    taken = claim_next(database, settings, worker="worker-1", host="host-1")
    assert taken is not None
    return taken


def progress(database: Database, claim: Claim, step: int, **values: float) -> None:
    rows = [MetricRow(step=step, values=values)] if values else []
    record_progress(database, claim, step=step, steps_per_second=100.0, rows=rows)


def evaluate(
    database: Database,
    claim: Claim,
    step: int,
    returns: Sequence[float],
    bundle: PolicyBundle | None = None,
) -> str:
    """Returns the checkpoint's id."""
    result = EvaluationResult(
        step=step,
        action_mode="deterministic",
        returns=returns,
        lengths=[200] * len(returns),
        seeds=list(range(len(returns))),
    )
    return record_evaluation(database, claim, result, bundle or linear_bundle(), keep=2)


def trained_job(
    database: Database, settings: Settings, bundle: PolicyBundle | None = None, **changes: Any
) -> str:
    """A succeeded job with one evaluation and one policy."""
    job_id = submit(database, **changes)
    taken = claim(database, settings)
    progress(database, taken, 500, **{"loss/value": 0.5})
    evaluate(database, taken, 1000, [-100.0, -200.0], bundle)
    succeed(database, taken, weights_sha256="ab" * 32)
    return job_id


def best_checkpoint_of(database: Database, job_id: str) -> str:
    with database.read() as session:
        identity = get_job(session, job_id).best_checkpoint_id
    assert identity is not None
    return identity


@contextmanager
def whole_manifests() -> Iterator[list[str]]:
    """The ids of the checkpoints whose manifest is read with all that is in it."""
    read: list[str] = []

    def loaded(checkpoint: Checkpoint, context: object, *_: object) -> None:
        if "manifest" in checkpoint.__dict__:
            read.append(checkpoint.id)

    event.listen(Checkpoint, "load", loaded)
    event.listen(Checkpoint, "refresh", loaded)
    yield read
    event.remove(Checkpoint, "load", loaded)
    event.remove(Checkpoint, "refresh", loaded)


def row_counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in Table.metadata.tables.items()
        }
