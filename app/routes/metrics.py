"""For Prometheus."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from app.deps import PoliciesDep, SessionsDep, StreamsDep
from app.serving.measures import CONTENT_TYPE, gauge

router = APIRouter(tags=["service"])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(policies: PoliciesDep, sessions: SessionsDep, streams: StreamsDep) -> Response:
    """What acting costs, by policy and version. Needs the key, as a scraper's `authorization`."""
    loops = [
        *gauge("mrq_act_sessions", "Sessions that are held.", sessions.counts()),
        *gauge("mrq_act_streams", "Streams that are open.", streams.counts()),
    ]
    text = policies.metrics() + "\n".join([*loops, ""])
    return Response(text, media_type=CONTENT_TYPE)
