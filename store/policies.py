"""Promoted checkpoints: a name, a version, and the bytes they pin."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, defer, undefer

from store.aliases import find_aliased
from store.clock import now_ms
from store.cursor import decode_cursor, encode_cursor
from store.database import Database
from store.endings import finish_in
from store.errors import InvalidInput, NotEvaluated, NotFound
from store.events import append_event
from store.ids import new_id, require_storable
from store.ownership import Claim, update_owned
from store.servable import ServablePolicy as ServablePolicy
from store.states import CheckpointKind, JobStatus, Reason
from store.tables import Checkpoint, Evaluation, Job, Policy, PolicyName
from store.uses import require_unused
from store.versions import find_version, next_version


def promote_checkpoint(
    database: Database, checkpoint_id: str, name: str | None, *, force: bool = False
) -> Policy:
    """Makes a policy checkpoint servable as the next version of `name` (default: its job's).
    `force`: also one that was learnt from a log and never judged."""
    require_storable("checkpoint", checkpoint_id)
    with database.write() as session:
        job = _lock_job_of(session, checkpoint_id)
        # Only now: a job that trains removes old checkpoints, under this lock.
        checkpoint = session.get(Checkpoint, checkpoint_id, options=[defer(Checkpoint.manifest)])
        if job is None or checkpoint is None:
            raise NotFound("checkpoint", checkpoint_id)
        if checkpoint.kind != CheckpointKind.POLICY:
            raise InvalidInput(
                f"checkpoint_id={checkpoint_id!r} is a training checkpoint; only a policy "
                "checkpoint (kind=policy) can be served.",
                param="checkpoint_id",
            )
        if not force:
            _require_evaluation(session, job, checkpoint_id)
        return promote_in(session, job, checkpoint_id, name or job.name)


def _require_evaluation(session: Session, job: Job, checkpoint_id: str) -> None:
    """Whoever acts in an environment has been seen there; of a policy from a log nothing is known
    without."""
    if job.spec["algorithm"].get("mode") != "offline":
        return
    query = select(Evaluation.id).where(Evaluation.checkpoint_id == checkpoint_id)
    if session.scalars(query).first() is None:
        raise NotEvaluated(
            f"checkpoint_id={checkpoint_id!r} was learnt from a log and judged by none of it "
            "(environment.kwargs.validation_fraction is 0): nothing says what it is worth. "
            "force=true promotes it all the same.",
            param="checkpoint_id",
        )


def _lock_job_of(session: Session, checkpoint_id: str) -> Job | None:
    owner = select(Checkpoint.job_number).where(Checkpoint.id == checkpoint_id)
    query = (
        select(Job)
        .where(Job.number == owner.scalar_subquery(), Job.deleted_at.is_(None))
        .with_for_update()
    )
    return session.scalars(query).one_or_none()


def succeed(
    database: Database,
    claim: Claim,
    *,
    weights_sha256: str | None,
    reason: Reason = Reason.BUDGET_EXHAUSTED,
    message: str | None = None,
    step: int | None = None,
) -> None:
    """Ends the job well and promotes its best checkpoint under the job's name, all or nothing.

    `step` is the last one done; None for the last one heard of.
    """
    with database.write() as session:
        job = update_owned(session, claim, **({} if step is None else {"step": step}))
        if job.best_checkpoint_id is not None:
            promote_in(session, job, job.best_checkpoint_id, job.name)
        finish_in(
            session,
            claim,
            JobStatus.SUCCEEDED,
            reason,
            message=message,
            exit_code=0,
            weights_sha256=weights_sha256,
        )


def promote_in(session: Session, job: Job, checkpoint_id: str, name: str) -> Policy:
    """In the caller's transaction, who has the job's row to himself."""
    policy = Policy(
        id=new_id("pol"),
        name=name,
        version=next_version(session, PolicyName, name),
        checkpoint_id=checkpoint_id,
        job_number=job.number,
        created_at=session.execute(select(now_ms())).scalar_one(),
    )
    session.add(policy)
    session.flush()
    data = {
        "policy_id": policy.id,
        "name": name,
        "version": policy.version,
        "checkpoint_id": checkpoint_id,
    }
    append_event(session, job.number, "policy", data, attempt=job.epoch)
    return policy


def delete_policy(database: Database, reference: str) -> Policy:
    """For good: its checkpoint may go with its job then, and its version never comes back. Raises
    `Pinned` while an alias or the traffic of its name needs it."""
    with database.write() as session:
        policy = find_policy(session, reference)
        # The job before the name, in the order in which a promotion takes them.
        job = session.get_one(Job, policy.job_number, with_for_update=True)
        require_unused(session, [policy], param="reference")
        # Who held these locks before may have deleted it, or moved the alias.
        if find_policy(session, reference).id != policy.id:
            raise NotFound("policy", reference)
        session.delete(policy)
        data = {"policy_id": policy.id, "name": policy.name, "version": policy.version}
        append_event(session, job.number, "policy_deleted", data, attempt=job.epoch)
        return policy


def find_policy(session: Session, reference: str) -> Policy:
    """`pol_...`, `name` (its newest version), `name:3` or `name@alias`."""
    if "@" in reference:
        return find_aliased(session, reference)
    return find_version(session, Policy, reference)


def list_versions(session: Session, name: str) -> Sequence[int]:
    """Oldest first; those that were deleted are missing."""
    query = select(Policy.version).where(Policy.name == name).order_by(Policy.version)
    return session.scalars(query).all()


def load_servable(session: Session, policy: Policy) -> ServablePolicy:
    checkpoint = session.get_one(
        Checkpoint, policy.checkpoint_id, options=[undefer(Checkpoint.onnx)]
    )
    assert checkpoint.onnx is not None, "a policy checkpoint is committed with its bytes"
    return ServablePolicy(
        id=policy.id,
        name=policy.name,
        version=policy.version,
        checkpoint_id=checkpoint.id,
        sha256=checkpoint.sha256,
        onnx=checkpoint.onnx,
        manifest=checkpoint.manifest,
    )


def load_model(session: Session, policy: Policy) -> bytes | None:
    """The graph of the model that was learnt with it; None of a baseline, or of a policy that an
    earlier release exported."""
    query = select(Checkpoint.model_onnx).where(Checkpoint.id == policy.checkpoint_id)
    return session.scalars(query).one()


def list_policies(
    session: Session, *, job_number: int | None = None, limit: int = 20, cursor: str | None = None
) -> tuple[Sequence[Policy], str | None]:
    """Newest first: ids sort by creation. Returns the page and the cursor of the next one."""
    query = select(Policy).order_by(Policy.id.desc())
    if job_number is not None:
        query = query.where(Policy.job_number == job_number)
    if cursor is not None:
        query = query.where(Policy.id < decode_cursor(cursor))
    rows = session.scalars(query.limit(limit + 1)).all()
    page = rows[:limit]
    return page, encode_cursor(page[-1].id) if len(rows) > limit else None


def list_checkpoints(
    session: Session, job_number: int, *, limit: int = 1_000
) -> Sequence[Checkpoint]:
    """Newest first, without their bytes. Manifests come when asked for: golden pixels are large."""
    query = (
        select(Checkpoint)
        .options(defer(Checkpoint.manifest))
        .where(Checkpoint.job_number == job_number)
        .order_by(Checkpoint.step.desc(), Checkpoint.attempt.desc(), Checkpoint.kind)
        .limit(limit)
    )
    return session.scalars(query).all()
