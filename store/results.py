"""What an attempt hands in, each under its epoch: progress, metrics, evaluations, checkpoints."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.artifacts import StoredFolder
from store.checkpoint_files import CheckpointFiles, insert_training_checkpoint, training_names
from store.clock import now_ms
from store.database import Database
from store.events import append_event
from store.ids import new_id
from store.ownership import Claim, Wish, resumable_checkpoints, update_owned
from store.pins import removable
from store.series import attempt_ceilings
from store.states import CheckpointKind, Fidelity
from store.tables import Attempt, Checkpoint, Evaluation, MetricKey, MetricPoint, Policy

POLICY_FORMAT_VERSION = 1
MAX_METRIC_KEYS = 200  # that one request may ask for; a job has some twenty


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    step: int
    action_mode: str
    returns: Sequence[float]
    lengths: Sequence[int]
    seeds: Sequence[int]
    estimate: dict[str, Any] | None = None  # of a policy that was judged by a log


@dataclass(frozen=True, kw_only=True)
class PolicyBundle:
    """A policy as it is served: an ONNX graph and the JSON that says how to use it; and a second
    graph, of the model that was learnt with it."""

    onnx: bytes
    manifest: dict[str, Any]
    model: bytes | None = None


def record_progress(
    database: Database,
    claim: Claim,
    *,
    step: int,
    steps_per_second: float | None,
    rows: Sequence[MetricRow],
) -> Wish:
    """Repeating it after a lost answer is safe."""
    with database.write() as session:
        values: dict[str, Any] = {"step": step, "progress_at": now_ms()}
        if steps_per_second is not None:
            values["steps_per_second"] = steps_per_second
        job = update_owned(session, claim, **values)
        if rows:
            # A row names only the metrics that have data, so the others keep their last value.
            latest = {**job.latest_metrics, "step": rows[-1].step}
            for row in rows:
                latest |= {k: v for k, v in row.values.items() if math.isfinite(v)}
            job.latest_metrics = latest
        _insert_points(session, claim, rows)
        return Wish.of(job)


def _insert_points(session: Session, claim: Claim, rows: Sequence[MetricRow]) -> None:
    keys = _key_ids(session, {key for row in rows for key in row.values})
    points = [
        {
            "job_number": claim.job_number,
            "key_id": keys[key],
            "step": row.step,
            "attempt": claim.epoch,
            "value": value if math.isfinite(value) else None,
            "flag": _flag(value),
        }
        for row in rows
        for key, value in row.values.items()
    ]
    if points:
        at = session.execute(select(now_ms())).scalar_one()
        statement = _dialect(session).insert(MetricPoint).on_conflict_do_nothing()
        session.execute(statement, [{**point, "at": at} for point in points])


def _dialect(session: Session) -> Any:
    return postgresql if session.get_bind().dialect.name == "postgresql" else sqlite


def _flag(value: float) -> int:
    if math.isfinite(value):
        return 0
    return 1 if math.isnan(value) else 2 if value > 0 else 3


def _key_ids(session: Session, names: set[str]) -> dict[str, int]:
    query = select(MetricKey.name, MetricKey.id).where(MetricKey.name.in_(names))
    known = dict(session.execute(query).all())
    missing = sorted(names - known.keys())
    if not missing:
        return known
    session.execute(
        _dialect(session).insert(MetricKey).on_conflict_do_nothing(),
        [{"name": name} for name in missing],
    )
    return dict(session.execute(query).all())


def record_warning(database: Database, claim: Claim, message: str) -> None:
    """For what goes on all the same, and should be known."""
    with database.write() as session:
        update_owned(session, claim)
        append_event(
            session, claim.job_number, "warning", {"message": message}, attempt=claim.epoch
        )


def record_fidelity(database: Database, claim: Claim, fidelity: Fidelity) -> None:
    """What the attempt really began with, as the trainer found it."""
    with database.write() as session:
        update_owned(session, claim)
        session.get_one(Attempt, (claim.job_number, claim.epoch)).fidelity = fidelity


def record_peak_memory(database: Database, claim: Claim, size: int | None) -> None:
    with database.write() as session:
        update_owned(session, claim)
        attempt = session.get_one(Attempt, (claim.job_number, claim.epoch))
        attempt.peak_memory_bytes = size


def record_evaluation(
    database: Database, claim: Claim, result: EvaluationResult, bundle: PolicyBundle, *, keep: int
) -> str:
    """The returns and the policy's bytes in one transaction. Returns the checkpoint's id.

    Older policy checkpoints go, but for the best one, the `keep` latest and the promoted ones.
    Without returns there was nothing to judge the policy by: it is kept without an evaluation.
    """
    if not result.returns:
        return _record_policy_alone(database, claim, result.step, bundle, keep=keep)
    mean = math.fsum(result.returns) / len(result.returns)
    with database.write() as session:
        update_owned(session, claim, step=result.step)
        checkpoint = _insert_policy_checkpoint(session, claim, result.step, bundle)
        session.add(
            Evaluation(
                id=new_id("eval"),
                job_number=claim.job_number,
                attempt=claim.epoch,
                step=result.step,
                action_mode=result.action_mode,
                return_mean=mean,
                returns=list(result.returns),
                lengths=list(result.lengths),
                seeds=list(result.seeds),
                estimate=result.estimate,
                checkpoint_id=checkpoint,
                created_at=session.execute(select(now_ms())).scalar_one(),
            )
        )
        session.flush()
        best = _refresh_best(session, claim)
        _prune_policies(session, claim, keep, best)
        data = {
            "step": result.step,
            "return_mean": mean,
            "episodes": len(result.returns),
            "checkpoint_id": checkpoint,
            "best": best == checkpoint,
        }
        if result.estimate is not None:
            data |= {"episodes": result.estimate["episodes"], "estimated": True}
        append_event(session, claim.job_number, "evaluation", data, attempt=claim.epoch)
    return checkpoint


def _record_policy_alone(
    database: Database, claim: Claim, step: int, bundle: PolicyBundle, *, keep: int
) -> str:
    with database.write() as session:
        update_owned(session, claim, step=step)
        checkpoint = _insert_policy_checkpoint(session, claim, step, bundle)
        session.flush()
        _prune_policies(session, claim, keep, checkpoint)
    return checkpoint


def _insert_policy_checkpoint(
    session: Session, claim: Claim, step: int, bundle: PolicyBundle
) -> str:
    identity = new_id("ckpt")
    session.execute(
        insert(Checkpoint).values(
            id=identity,
            job_number=claim.job_number,
            attempt=claim.epoch,
            step=step,
            kind=CheckpointKind.POLICY,
            size_bytes=len(bundle.onnx) + len(bundle.model or b""),
            sha256=hashlib.sha256(bundle.onnx).hexdigest(),
            format_version=POLICY_FORMAT_VERSION,
            manifest=bundle.manifest,
            onnx=bundle.onnx,
            model_onnx=bundle.model,
            created_at=now_ms(),
        )
    )
    return identity


def _refresh_best(session: Session, claim: Claim) -> str:
    """Highest mean return; of equals the later one, which has seen more.

    Only those whose bytes are still there: few, however many evaluations the job has.
    """
    ceilings = attempt_ceilings(session, claim.job_number)
    query = select(
        Evaluation.return_mean, Evaluation.step, Evaluation.attempt, Evaluation.checkpoint_id
    ).where(Evaluation.job_number == claim.job_number, Evaluation.checkpoint_id.is_not(None))
    mean, _, identity = max(
        (mean, step, identity)
        for mean, step, attempt, identity in session.execute(query)
        if step <= ceilings[attempt]
    )
    update_owned(session, claim, best_checkpoint_id=identity, best_return=mean)
    assert identity is not None
    return identity


def _prune_policies(session: Session, claim: Claim, keep: int, best: str) -> None:
    mine = (Checkpoint.job_number == claim.job_number) & (Checkpoint.kind == CheckpointKind.POLICY)
    latest = session.scalars(
        select(Checkpoint.id)
        .where(mine)
        .order_by(Checkpoint.attempt.desc(), Checkpoint.step.desc())
        .limit(keep)
    ).all()
    kept = {*latest, best}
    promoted = select(Policy.checkpoint_id).where(Policy.job_number == claim.job_number)
    session.execute(
        delete(Checkpoint)
        .where(mine, Checkpoint.id.not_in(kept), Checkpoint.id.not_in(promoted))
        .execution_options(synchronize_session=False)
    )


def record_training_checkpoint(
    database: Database, claim: Claim, step: int, stored: StoredFolder, *, keep: int
) -> list[str]:
    """Makes a stored folder the job's checkpoint. Returns what nothing names any more: folders, and
    objects in the object store.

    Two at least are kept, so that a corrupt one has another behind it. One at the very step
    where the attempt started is no progress: a job that always dies next must not run for ever.
    """
    identity = new_id("ckpt")
    with database.write() as session:
        job = update_owned(session, claim, resume_checkpoint_id=identity)
        job.step = max(job.step, step)  # training has gone on while this one was uploaded
        if step > session.get_one(Attempt, (claim.job_number, claim.epoch)).start_step:
            job.attempts_since_progress = 0
        insert_training_checkpoint(
            session,
            identity,
            stored,
            job_number=claim.job_number,
            attempt=claim.epoch,
            step=step,
        )
        return _drop_old_training(session, claim, max(2, keep))


def _drop_old_training(session: Session, claim: Claim, keep: int) -> list[str]:
    """All but the `keep` newest, and those that other jobs have yet to begin with."""
    newest = [checkpoint.id for checkpoint in resumable_checkpoints(session, claim)[:keep]]
    query = select(Checkpoint).where(
        Checkpoint.job_number == claim.job_number,
        Checkpoint.kind == CheckpointKind.TRAINING,
        Checkpoint.id.not_in(newest),
    )
    candidates = {checkpoint.id: checkpoint for checkpoint in session.scalars(query)}
    removed = removable(session, candidates)
    old = [checkpoint for identity, checkpoint in candidates.items() if identity in removed]
    names = [name for each in old for name in sorted(CheckpointFiles.of(each).names)]
    for checkpoint in old:
        session.delete(checkpoint)
    session.flush()
    # The next ones share objects with those that went.
    kept = training_names(session, claim.job_number) if names else set()
    return [name for name in dict.fromkeys(names) if name not in kept]
