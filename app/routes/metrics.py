"""For Prometheus."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from app.deps import PoliciesDep
from app.serving.measures import CONTENT_TYPE

router = APIRouter(tags=["service"])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(policies: PoliciesDep) -> Response:
    """What acting costs, by policy and version. Needs the key, as a scraper's `authorization`."""
    return Response(policies.metrics(), media_type=CONTENT_TYPE)
