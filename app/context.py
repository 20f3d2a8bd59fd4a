"""Around every request: its id, the security headers, and a problem for the unexpected."""

import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import error_response

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
VERSION_PREFIX = "/v1"


class RequestContext:
    """Pure ASGI: a stream passes through untouched, message by message."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        identity = f"req_{secrets.token_hex(12)}"
        scope["mrq.request_id"] = identity
        _drop_version(scope)
        added = [*SECURITY_HEADERS, (b"x-request-id", identity.encode())]
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _with_defaults([*message["headers"], *added])
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            if started:
                raise  # the client sees the connection break, the log sees the traceback
            await error_response(scope, error)(scope, receive, send_with_headers)


def _drop_version(scope: Scope) -> None:
    """`/v1/jobs` is `/jobs`, for authentication as for routing."""
    if scope["path"].startswith(f"{VERSION_PREFIX}/"):
        scope["path"] = scope["path"][len(VERSION_PREFIX) :]
        scope["raw_path"] = scope.get("raw_path", b"")[len(VERSION_PREFIX) :]


def _with_defaults(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What says nothing of caching is somebody's data."""
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    return headers
