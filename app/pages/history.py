"""The newest events of a job, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.pages.sentences import event_sentence
from store.clock import to_rfc3339
from store.tables import Event, Job

SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class Entry:
    seq: int
    type: str
    sentence: str
    at: str


def newest_events(session: Session, job: Job) -> Sequence[Entry]:
    query = (
        select(Event).where(Event.job_number == job.number).order_by(Event.seq.desc()).limit(SHOWN)
    )
    return [_entry(event) for event in session.scalars(query)]


def _entry(event: Event) -> Entry:
    at = to_rfc3339(event.at)
    assert at is not None
    return Entry(seq=event.seq, type=event.type, sentence=event_sentence(event), at=at)
