"""`WS /policies/{reference}/stream`: one socket is one control loop.

No task and no timer for each frame: the socket's own task reads one, answers it and reads the next,
so answers come in the frames' order. OpenAPI has no words for it; docs/reference/api.md has.
"""

import asyncio
import logging
from itertools import count

from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from app.body_limit import Limit
from app.errors import problem_of
from app.problem import request_id
from app.serving.control_loop import ControlLoop
from app.serving.open_streams import TOO_BIG, UNSUPPORTED, HungUp, Line, NotRead, OpenStreams
from app.serving.stream_wire import Wire, choose_wire, read_in_values
from app.websockets import refuse

logger = logging.getLogger(__name__)

PATH = "/policies/{reference}/stream"
# Frames after which others have their turn: of a client that sends many at once, neither the socket
# nor a short pass would ever wait.
BREATHE_EVERY = 8


def stream_route(text_limit: Limit, bytes_limit: Limit) -> WebSocketRoute:
    return WebSocketRoute(PATH, Stream(text_limit, bytes_limit), name="stream")


class Stream:
    def __init__(self, text_limit: Limit, bytes_limit: Limit) -> None:
        """Of one frame. JSON keeps the event loop while it is read, and so do MessagePack's lists:
        `bytes_limit` is for an observation that is sent as bytes."""
        self.text_limit = text_limit
        self.bytes_limit = bytes_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        reference: str = scope["path_params"]["reference"]
        state = scope["app"].state
        streams: OpenStreams = state.streams
        try:
            wire = choose_wire(scope["subprotocols"])
            streams.require_room()
            policy = await state.policies.acting(reference)
            streams.require_room()  # others came while it was loaded
        except Exception as error:
            state.policies.count_failure(reference, problem_of(error).status)
            await refuse(scope, receive, send, error)
            return
        loop = ControlLoop(
            state.policies,
            state.action_log,
            state.feedback_log,
            reference,
            policy,
            wire,
            request_id(scope),
            streams.is_one,
        )
        with streams.line(receive, send, loop) as line:
            try:
                await self._accept(line, scope, wire)
                await self._run(line, loop, wire)
            except (OSError, RuntimeError, NotRead) as error:
                # The first two are what servers raise when there is nobody to send to any more.
                logger.info("stream %s broke off: %s", request_id(scope), error)

    async def _accept(self, line: Line, scope: Scope, wire: Wire) -> None:
        chosen = wire.subprotocol if scope["subprotocols"] else None
        headers = [(b"x-request-id", request_id(scope).encode())]
        await line.send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})

    async def _run(self, line: Line, loop: ControlLoop, wire: Wire) -> None:
        await line.send(wire.message(loop.metadata()))
        key = "text" if wire.is_text else "bytes"
        try:
            for number in count(1):
                if number % BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
                message = await line.receive()
                if message["type"] == "websocket.disconnect":
                    return
                data = message.get(key)
                if data is None:
                    raise HungUp(UNSUPPORTED, f"{wire.subprotocol} has {key} frames only")
                self._require_small(data)
                await line.send(wire.message(await loop.answer(data)))
        except HungUp as end:
            await line.send({"type": "websocket.close", "code": end.code, "reason": end.reason})

    def _require_small(self, data: str | bytes) -> None:
        if isinstance(data, str):
            if _exceeds(data, self.text_limit):
                raise _too_big("a frame", self.text_limit)
        elif len(data) > self.bytes_limit.allowed_bytes:
            raise _too_big("a frame", self.bytes_limit)
        elif len(data) > self.text_limit.allowed_bytes < read_in_values(data):
            raise _too_big("beside an observation in bytes a frame", self.text_limit)


def _exceeds(text: str, limit: Limit) -> bool:
    """In UTF-8, in which a character takes at most four bytes."""
    if 4 * len(text) <= limit.allowed_bytes:
        return False
    return len(text.encode()) > limit.allowed_bytes


def _too_big(what: str, limit: Limit) -> HungUp:
    return HungUp(TOO_BIG, f"{what} may have {limit.allowed_bytes} bytes ({limit.setting})")
