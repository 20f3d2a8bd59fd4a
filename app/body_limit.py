"""No body beyond its limit is ever taken in, whether it says its length or comes in chunks."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.refusals import BodyTooLarge


@dataclass(frozen=True)
class Limit:
    max_bytes: int
    setting: str


class BodyLimit:
    """Raises where the body is read; a handler that reads none is not concerned."""

    def __init__(self, app: ASGIApp, limit: Limit, by_path: Mapping[str, Limit]) -> None:
        """`by_path`: of what is streamed to a disk, and may be larger."""
        self.app = app
        self.limit = limit
        self.by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.by_path.get(scope["path"], self.limit)
        received = 0
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdecimal() and int(announced[:20]) > limit.max_bytes

        async def limited_receive() -> Message:
            nonlocal received
            if too_long:
                raise _refusal(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit.max_bytes:
                raise _refusal(limit)
            return message

        await self.app(scope, limited_receive, send)


def _refusal(limit: Limit) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has more than the {limit.max_bytes} bytes that are allowed ({limit.setting}).",
        param="body",
        allowed_bytes=limit.max_bytes,
    )
