"""Checkpoints that other jobs have yet to begin with, which keep them from being removed.

No foreign key says so: a pin ends when its job has a training checkpoint of its own or has ended,
and comes back with a retry. Whoever pins locks the checkpoint's row against its removal; whoever
removes locks it, then looks for pins: of two at once, the second one sees what the first one did.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session, aliased

from store.states import TERMINAL
from store.tables import Checkpoint, Job


def waits_for_its_source() -> ColumnElement[bool]:
    return _waits(Job)


def _waits(job: type[Job]) -> ColumnElement[bool]:
    return (
        job.init_checkpoint_id.is_not(None)
        & job.resume_checkpoint_id.is_(None)
        & job.status.not_in(TERMINAL)
    )


def has_a_job_waiting() -> ColumnElement[bool]:
    """Of a job's row: some other job has yet to begin with a checkpoint of it."""
    other = aliased(Job)
    return exists().where(
        Checkpoint.job_number == Job.number,
        other.init_checkpoint_id == Checkpoint.id,
        _waits(other),
    )


def hold(session: Session, checkpoint_id: str) -> Checkpoint | None:
    """Until the transaction ends nobody removes it. None: it is gone."""
    query = select(Checkpoint).where(Checkpoint.id == checkpoint_id)
    return session.scalars(query.with_for_update(read=True, key_share=True)).one_or_none()


def removable(session: Session, checkpoint_ids: Collection[str]) -> set[str]:
    """Of these checkpoints, locked from here on, those that nobody waits for. One that is being
    pinned at this moment is none."""
    if not checkpoint_ids:
        return set()
    query = select(Checkpoint.id).where(Checkpoint.id.in_(checkpoint_ids)).order_by(Checkpoint.id)
    ours = set(session.scalars(query.with_for_update(skip_locked=True)))
    pinned = select(Job.init_checkpoint_id).where(
        Job.init_checkpoint_id.in_(ours), waits_for_its_source()
    )
    return ours - set(session.scalars(pinned))


def jobs_waiting_for(session: Session, job_number: int) -> list[str]:
    """Ids of the jobs that have yet to begin with a checkpoint of this one. Ask with its row
    locked for update: who pins one of its checkpoints holds that, too."""
    query = (
        select(Job.id)
        .join(Checkpoint, Checkpoint.id == Job.init_checkpoint_id)
        .where(Checkpoint.job_number == job_number, waits_for_its_source())
        .order_by(Job.number)
    )
    return list(session.scalars(query))
