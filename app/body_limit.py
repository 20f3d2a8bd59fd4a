"""No body beyond its limit is ever taken in, whether it says its length or comes in chunks."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.refusals import BodyTooLarge


@dataclass(frozen=True, kw_only=True)
class Limit:
    allowed_bytes: int
    setting: str  # that says so


class BodyLimit:
    """Raises where the body is read; a handler that reads none is not concerned."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], Limit]) -> None:
        """`limit_of` a path."""
        self.app = app
        self.limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope["path"])
        received = 0
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdecimal() and int(announced[:20]) > limit.allowed_bytes

        async def limited_receive() -> Message:
            nonlocal received
            if too_long:
                raise refuse_too_large(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit.allowed_bytes:
                raise refuse_too_large(limit)
            return message

        await self.app(scope, limited_receive, send)


def refuse_too_large(limit: Limit) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has more than the {limit.allowed_bytes} bytes that are allowed "
        f"({limit.setting}).",
        param="body",
        allowed_bytes=limit.allowed_bytes,
    )
