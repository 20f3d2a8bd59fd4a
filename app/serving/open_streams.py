"""The sockets that are open, and their ends that come from the server: silence, and its own."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive, Send

from app.refusals import TooManyStreams
from app.serving.control_loop import ControlLoop

GOING_AWAY, UNSUPPORTED, TOO_BIG, IDLE = 1001, 1003, 1009, 4408


class HungUp(Exception):
    """The server closes, with this code of RFC 6455 or of its own."""

    def __init__(self, code: int, reason: str) -> None:
        """`reason` has at most 123 bytes, as a close frame has room for."""
        self.code = code
        self.reason = reason


class NotRead(Exception):
    """The client has read nothing for so long that a close frame would only wait as well."""


class Line:
    """Both ends of one socket. One timer watches them, not one for each frame."""

    def __init__(self, receive: Receive, send: Send, idle_seconds: float) -> None:
        """Made by the task that receives and sends."""
        self._receive = receive
        self._send = send
        self._task = asyncio.current_task()
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(idle_seconds, self._watch)
        self._is_receiving = False
        self._sending_since: float | None = None
        self._is_cut = False
        self._end: HungUp | None = None

    async def receive(self) -> Message:
        """Raises `HungUp`; what is being answered is answered before."""
        if self._end is not None:
            raise self._end
        self._is_receiving = True
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if self._end is None or not self._is_ours():
                raise
            raise self._end from None
        finally:
            self._is_receiving = False
        self._heard = self._loop.time()
        return message

    async def send(self, message: Message) -> None:
        """Waits while the socket's buffers are full. Raises `NotRead` if they stay so."""
        self._sending_since = self._loop.time()
        try:
            await self._send(message)
        except asyncio.CancelledError:
            if not self._is_cut or not self._is_ours():
                raise
            raise NotRead(f"nothing was read for {self._idle_seconds:g} s") from None
        finally:
            self._sending_since = None

    def hang_up(self, code: int, reason: str) -> None:
        if self._end is None:
            self._end = HungUp(code, reason)
            if self._is_receiving:
                self._cancel()

    def close(self) -> None:
        self._timer.cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _is_ours(self) -> bool:
        """Whether nobody else has cancelled the task, too."""
        return self._task is None or not self._task.uncancel()

    def _watch(self) -> None:
        """Goes on after a hang-up: its close frame may find full buffers, too."""
        since = self._heard if self._sending_since is None else self._sending_since
        left = since + self._idle_seconds - self._loop.time()
        if left <= 0 and self._sending_since is not None:
            self._is_cut = True
            self._cancel()
            return
        if left <= 0 and self._is_receiving:  # a frame that is being answered is no silence
            text = f"nothing came for {self._idle_seconds:g} s (MRQ_SESSION_IDLE_SECONDS)"
            self.hang_up(IDLE, text)
        self._timer = self._loop.call_later(max(left, self._idle_seconds / 4), self._watch)


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
    def line(self, receive: Receive, send: Send, loop: ControlLoop) -> Iterator[Line]:
        line = Line(receive, send, self._idle_seconds)
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
