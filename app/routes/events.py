"""The history of a job, page by page or live."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from app.answers import Json, page
from app.deps import DatabaseDep, JobDep, ReadSession
from app.event_stream import event_stream
from app.schemas import EventView, Page
from app.views import event_view
from store.events import read_events

router = APIRouter(prefix="/jobs/{job_id}", tags=["results"])

STREAM = "text/event-stream"
Sequence = Annotated[int, Query(ge=0, lt=2**53)]
_DOCUMENTED_STREAM = {
    "content": {STREAM: {"schema": {"type": "string"}}},
    "description": "A page of events, or a stream of them with `Accept: text/event-stream`.",
}


@router.get(
    "/events",
    response_model=Page[EventView],
    responses={200: _DOCUMENTED_STREAM},
)
def get_events(
    request: Request,
    job: JobDep,
    session: ReadSession,
    database: DatabaseDep,
    after: Sequence = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**53)] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    if STREAM in accept:
        start = after if last_event_id is None else last_event_id
        events = event_stream(database, job.id, start, request.app.state.closing)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, headers=headers, media_type=STREAM)
    rows = read_events(session, job.number, after=after, limit=limit + 1)
    shown = [event_view(event) for event in rows[:limit]]
    return Json(page(shown, str(shown[-1]["seq"]) if len(rows) > limit else None))
