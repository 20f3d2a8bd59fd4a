"""The history of a job: append-only, numbered per job, the source of the SSE stream."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert, literal, select
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.tables import Event

# Types in use: status, attempt, evaluation, checkpoint, policy, request, extended, warning.


def append_event(
    session: Session, job_number: int, type: str, data: dict[str, Any], *, attempt: int = 0
) -> None:
    """Call it with the job's row locked by this transaction: that keeps `seq` dense."""
    next_seq = select(func.coalesce(func.max(Event.seq), 0) + 1).where(
        Event.job_number == job_number
    )
    session.execute(
        insert(Event).values(
            job_number=job_number,
            seq=next_seq.scalar_subquery(),
            attempt=attempt,
            type=type,
            data=literal(data, Event.data.type),
            at=now_ms(),
        )
    )


def read_events(
    session: Session, job_number: int, *, after: int = 0, limit: int = 100
) -> Sequence[Event]:
    query = (
        select(Event)
        .where(Event.job_number == job_number, Event.seq > after)
        .order_by(Event.seq)
        .limit(limit)
    )
    return session.scalars(query).all()
