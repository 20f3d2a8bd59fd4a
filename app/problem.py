"""An error as the client sees it: application/problem+json (RFC 9457) and a few members more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Scope

MEDIA_TYPE = "application/problem+json"
# Long values of a client come back shortened.
MAX_TEXT = 2_000


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`details` are further members, such as `expected` and `got`."""

    status: int
    code: str
    detail: str
    param: str | None = None
    errors: Sequence[Mapping[str, Any]] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def to_json(self, scope: Scope) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:mrq:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": shortened(self.detail),
            "instance": shortened(scope["path"], 200),
            "code": self.code,
            "param": self.param,
            "request_id": request_id(scope),
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return {**self.details, **body}

    def response(self, scope: Scope) -> Response:
        body = orjson.dumps(self.to_json(scope), default=str, option=orjson.OPT_NON_STR_KEYS)
        return Response(body, self.status, dict(self.headers), MEDIA_TYPE)


def request_id(scope: Scope) -> str:
    identity: str = scope["mrq.request_id"]
    return identity


def shortened(text: str, limit: int = MAX_TEXT) -> str:
    """Without lone surrogates, which JSON in UTF-8 cannot carry."""
    clean = text.encode(errors="replace").decode()
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
