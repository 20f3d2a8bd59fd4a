"""Around every request: its id, the security headers, and a problem for the unexpected."""

import os
from typing import TypeAlias

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
NO_STORE = (b"cache-control", b"no-store")
VERSION_PREFIX = "/v1"
# The second is the refusal of a WebSocket.
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class RequestContext:
    """Pure ASGI: a stream passes through untouched, message by message."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            begin(scope)  # its refusals are `app.websockets`
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send_with_headers = Sending(send, for_every_answer(begin(scope)))
        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            if send_with_headers.started:
                raise  # the client sees the connection break, the log sees the traceback
            await error_response(scope, error)(scope, receive, send_with_headers)


class Sending:
    """A `send` that adds headers."""

    def __init__(self, send: Send, added: RawHeaders) -> None:
        self.started = False
        self._send = send
        self._added = added

    async def __call__(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self.started = True
            message["headers"] = _with_defaults([*message["headers"], *self._added])
        await self._send(message)


def begin(scope: Scope) -> str:
    """The request's id, which the scope has from now on."""
    identity = new_request_id()
    scope["mrq.request_id"] = identity
    _drop_version(scope)
    return identity


def new_request_id() -> str:
    return f"req_{os.urandom(12).hex()}"


def for_every_answer(identity: str) -> RawHeaders:
    return [*SECURITY_HEADERS, (b"x-request-id", identity.encode())]


def _drop_version(scope: Scope) -> None:
    """`/v1/jobs` is `/jobs`, for authentication as for routing."""
    if scope["path"].startswith(f"{VERSION_PREFIX}/"):
        scope["path"] = scope["path"][len(VERSION_PREFIX) :]
        scope["raw_path"] = scope.get("raw_path", b"")[len(VERSION_PREFIX) :]


def _with_defaults(headers: RawHeaders) -> RawHeaders:
    """What says nothing of caching is somebody's data."""
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append(NO_STORE)
    return headers
