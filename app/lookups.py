"""What a page of rows is shown with, in one query each instead of one per row."""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.tables import Evaluation, Job, Policy


def newest_policies(session: Session, job_numbers: Collection[int]) -> dict[int, Policy]:
    """By job number."""
    newest = (
        select(func.max(Policy.id))
        .where(Policy.job_number.in_(job_numbers))
        .group_by(Policy.job_number)
    )
    rows = session.scalars(select(Policy).where(Policy.id.in_(newest)))
    return {policy.job_number: policy for policy in rows}


def evaluations_of(session: Session, checkpoint_ids: Collection[str]) -> dict[str, Evaluation]:
    """By checkpoint id."""
    rows = session.scalars(select(Evaluation).where(Evaluation.checkpoint_id.in_(checkpoint_ids)))
    return {row.checkpoint_id: row for row in rows if row.checkpoint_id is not None}


def job_ids(session: Session, job_numbers: Collection[int]) -> dict[int, str]:
    rows = session.execute(select(Job.number, Job.id).where(Job.number.in_(job_numbers)))
    return {row.number: row.id for row in rows}
