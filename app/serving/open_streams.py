"""The sockets that are open, and their ends that come from the server: silence, and its own."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from starlette.types import Message, Receive

from app.refusals import TooManyStreams
from app.serving.control_loop import ControlLoop

GOING_AWAY, UNSUPPORTED, TOO_BIG, IDLE = 1001, 1003, 1009, 4408


class HungUp(Exception):
    """The server closes, with this code of RFC 6455 or of its own."""

    def __init__(self, code: int, reason: str) -> None:
        """`reason` has at most 123 bytes, as a close frame has room for."""
        self.code = code
        self.reason = reason


class Line:
    """The receiving end of one socket. One timer watches it, not one for each frame."""

    def __init__(self, receive: Receive, idle_seconds: float) -> None:
        self._receive = receive
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(idle_seconds, self._watch)
        self._waiting: asyncio.Task[None] | None = None
        self._end: HungUp | None = None

    async def receive(self) -> Message:
        """Raises `HungUp`; what is being answered is answered before."""
        if self._end is not None:
            raise self._end
        self._waiting = asyncio.current_task()
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            self._require_ours()
        finally:
            self._waiting = None
        self._heard = self._loop.time()
        return message

    def hang_up(self, code: int, reason: str) -> None:
        if self._end is None:
            self._end = HungUp(code, reason)
            if self._waiting is not None:
                self._waiting.cancel()

    def close(self) -> None:
        self._timer.cancel()

    def _require_ours(self) -> NoReturn:
        """The cancellation is that of `hang_up`, or somebody else's."""
        task = asyncio.current_task()
        if self._end is None or (task is not None and task.uncancel()):
            raise asyncio.CancelledError
        raise self._end

    def _watch(self) -> None:
        left = self._heard + self._idle_seconds - self._loop.time()
        if left > 0 or self._waiting is None:  # a frame that is being answered is no silence
            self._timer = self._loop.call_later(max(left, self._idle_seconds / 4), self._watch)
            return
        self.hang_up(IDLE, f"nothing came for {self._idle_seconds:g} s (MRQ_SESSION_IDLE_SECONDS)")


class OpenStreams:
    """Used on the event loop only."""

    def __init__(self, max_streams: int, idle_seconds: float) -> None:
        self._max_streams = max_streams
        self._idle_seconds = idle_seconds
        self._open: dict[Line, ControlLoop] = {}

    def require_room(self) -> None:
        if len(self._open) >= self._max_streams:
            text = f"This server has {len(self._open)} streams open (MRQ_MAX_STREAMS); try again."
            raise TooManyStreams(text)

    @contextmanager
    def line(self, receive: Receive, loop: ControlLoop) -> Iterator[Line]:
        line = Line(receive, self._idle_seconds)
        self._open[line] = loop
        try:
            yield line
        finally:
            del self._open[line]
            line.close()

    def is_one(self) -> bool:
        return len(self._open) == 1

    def counts(self) -> Counter[tuple[str, int]]:
        """By name and version of the policy."""
        return Counter((loop.policy.name, loop.policy.version) for loop in self._open.values())

    async def hang_up_when(self, closing: asyncio.Event) -> None:
        await closing.wait()
        for line in list(self._open):
            line.hang_up(GOING_AWAY, "the server stops")
