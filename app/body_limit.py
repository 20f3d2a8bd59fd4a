"""No body beyond its limit is ever taken in, whether it says its length or comes in chunks."""

from collections.abc import Mapping
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

    def __init__(self, app: ASGIApp, limit: Limit, others: Mapping[str, Limit]) -> None:
        """`others`: by path."""
        self.app = app
        self.limit = limit
        self.others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.others.get(scope["path"], self.limit)
        received = 0
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdecimal() and int(announced[:20]) > limit.allowed_bytes

        async def limited_receive() -> Message:
            nonlocal received
            if too_long:
                raise _refusal(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit.allowed_bytes:
                raise _refusal(limit)
            return message

        await self.app(scope, limited_receive, send)


def _refusal(limit: Limit) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has more than the {limit.allowed_bytes} bytes that are allowed "
        f"({limit.setting}).",
        param="body",
        allowed_bytes=limit.allowed_bytes,
    )
