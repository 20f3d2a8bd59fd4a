"""The events of a job as they are committed, as server-sent events.

The database is asked twice a second: `seq` is the message's id, so a client that reconnects with
Last-Event-ID misses nothing and sees nothing twice. `progress` messages have no id.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool

from app.errors import DATABASE_UNAVAILABLE
from app.schemas import LiveView
from app.views import event_view, live_view
from store.database import Database
from store.events import read_events
from store.jobs import get_job
from store.states import TERMINAL, JobStatus
from store.tables import Event

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0
PAGE = 100


@dataclass(frozen=True, kw_only=True)
class _News:
    events: Sequence[Event]
    live: LiveView
    ended: bool


async def event_stream(
    database: Database, job_id: str, after: int, closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Ends with an `end` message when the job has ended; without one when the server stops."""
    shown: LiveView | None = None
    last_sent = time.monotonic()
    while not closing.is_set():
        news = await _poll(database, job_id, after)
        if news is not None:
            for event in news.events:
                yield message(event.type, event_view(event), event.seq)
                after = event.seq
            if news.live != shown:
                yield message("progress", news.live)
                shown = news.live
                last_sent = time.monotonic()
            if news.ended:
                yield message("end", {})
                return
            if len(news.events) == PAGE:
                continue
        if time.monotonic() - last_sent >= KEEP_ALIVE_SECONDS:
            yield b": keep-alive\n\n"
            last_sent = time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), POLL_SECONDS)


async def _poll(database: Database, job_id: str, after: int) -> _News | None:
    """None while the database is away: a browser would not come back after an error."""
    try:
        return await run_in_threadpool(_read, database, job_id, after)
    except DATABASE_UNAVAILABLE:
        logger.warning("the events of %s cannot be read now", job_id)
        return None


def _read(database: Database, job_id: str, after: int) -> _News:
    with database.read() as session:
        # The job first: an event that came with its last state is then surely there to be read.
        job = get_job(session, job_id)
        events = read_events(session, job.number, after=after, limit=PAGE)
        ended = JobStatus(job.status) in TERMINAL and len(events) < PAGE
        return _News(events=events, live=live_view(session, job), ended=ended)


def message(kind: str, data: Any, identity: int | None = None) -> bytes:
    head = f"event: {kind}\n" if identity is None else f"id: {identity}\nevent: {kind}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"
