"""Answers as JSON bytes. Returned as they are, they skip FastAPI's own serialisation."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from app.schemas import Page


class Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def page(data: Sequence[Mapping[str, Any]], next_cursor: str | None = None) -> Page[Any]:
    return {"data": list(data), "has_more": next_cursor is not None, "next_cursor": next_cursor}
