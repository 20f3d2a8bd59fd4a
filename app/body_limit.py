"""No request body beyond the limit is ever held, whether it says its length or comes in chunks."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.refusals import BodyTooLarge


class BodyLimit:
    """Raises where the body is read; a handler that reads none is not concerned."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0
        announced = Headers(scope=scope).get("content-length", "")
        too_long = announced.isdecimal() and int(announced[:20]) > self.limit

        async def limited_receive() -> Message:
            nonlocal received
            if too_long:
                raise self._refusal()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise self._refusal()
            return message

        await self.app(scope, limited_receive, send)

    def _refusal(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body has more than the {self.limit} bytes that are allowed (MRQ_MAX_BODY_BYTES).",
            param="body",
            allowed_bytes=self.limit,
        )
