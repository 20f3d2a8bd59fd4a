"""The parts that users, owners and time play in these tests, by the store's own functions."""

from typing import Any

from sqlalchemy import select, update

from store.artifacts import StoredFolder
from store.clock import now_ms
from store.database import Database
from store.endings import hand_back
from store.events import read_events
from store.jobs import get_job, list_attempts, submit_job
from store.ownership import Claim, Wish, claim_next, start_from
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
from store.states import Reason
from store.tables import Attempt, Checkpoint, Event, Job

BODY: dict[str, Any] = {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 1000}}
BUNDLE = PolicyBundle(onnx=b"onnx bytes", manifest={"format_version": 1})


def spec(**changes: Any) -> JobSpec:
    return JobSpec.model_validate(BODY | changes)


def submit(database: Database, **changes: Any) -> Job:
    return submit_job(database, spec(**changes))[0]


def submitted_long_ago(database: Database) -> Job:
    """Nobody has rung for it."""
    job = submit(database)
    change(database, job, created_at=1)
    with database.write() as session:
        session.execute(update(Event).where(Event.job_number == job.number).values(at=1))
    return job


def reload(database: Database, job: Job | Claim) -> Job:
    identity = job.id if isinstance(job, Job) else job.job_id
    with database.read() as session:
        return get_job(session, identity)


def change(database: Database, job: Job | Claim, **values: Any) -> None:
    number = job.number if isinstance(job, Job) else job.job_number
    with database.write() as session:
        session.execute(update(Job).where(Job.number == number).values(**values))


def claim(database: Database, settings: Settings, worker: str = "w1") -> Claim:
    claimed = claim_next(database, settings, worker, "host1")
    assert claimed is not None, "a job waits"
    return claimed


def running(database: Database, settings: Settings, **changes: Any) -> Claim:
    submit(database, **changes)
    claimed = claim(database, settings)
    start_from(database, claimed, None)
    return claimed


def succeeded(database: Database, settings: Settings, **changes: Any) -> Claim:
    claimed = running(database, settings, **changes)
    succeed(database, claimed, weights_sha256="ab", step=1_000)
    return claimed


def release(database: Database, claimed: Claim) -> None:
    """As on shutdown."""
    hand_back(database, claimed, Reason.DRAINED)


def let_lease_expire(database: Database, claimed: Claim) -> None:
    change(database, claimed, lease_until=1)


def evaluate(database: Database, claimed: Claim, step: int, *returns: float, keep: int = 2) -> str:
    result = EvaluationResult(
        step=step,
        action_mode="deterministic",
        returns=returns,
        lengths=[200] * len(returns),
        seeds=list(range(len(returns))),
    )
    return record_evaluation(database, claimed, result, BUNDLE, keep=keep)


def stored(claimed: Claim, step: int) -> StoredFolder:
    return StoredFolder(
        folder=f"{claimed.job_id}/{claimed.epoch}-{step}",
        size_bytes=3,
        sha256="0" * 64,
        files={"weights.safetensors": "1" * 64},
        format_version=1,
        sizes={"weights.safetensors": 3},
    )


def save(database: Database, claimed: Claim, step: int, keep: int = 2) -> list[str]:
    return record_training_checkpoint(database, claimed, step, stored(claimed, step), keep=keep)


def progress(database: Database, claimed: Claim, step: int, **metrics: float) -> Wish:
    return record_progress(
        database,
        claimed,
        step=step,
        steps_per_second=None,
        rows=[MetricRow(step=step, values=metrics)],
    )


def checkpoint(database: Database, claimed: Claim, step: int) -> Checkpoint:
    """The newest training checkpoint of that step."""
    with database.read() as session:
        query = (
            select(Checkpoint)
            .where(
                Checkpoint.job_number == claimed.job_number,
                Checkpoint.step == step,
                Checkpoint.kind == "training",
            )
            .order_by(Checkpoint.attempt.desc())
            .limit(1)
        )
        return session.scalars(query).one()


def events(database: Database, job: Job | Claim) -> list[tuple[int, str, dict[str, Any]]]:
    number = job.number if isinstance(job, Job) else job.job_number
    with database.read() as session:
        return [(e.seq, e.type, e.data) for e in read_events(session, number, limit=10_000)]


def attempts(database: Database, job: Job | Claim) -> list[Attempt]:
    number = job.number if isinstance(job, Job) else job.job_number
    with database.read() as session:
        return list(list_attempts(session, number))


def clock(database: Database) -> int:
    with database.read() as session:
        return session.execute(select(now_ms())).scalar_one()
