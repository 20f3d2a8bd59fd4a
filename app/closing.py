"""Telling open streams that the server is about to stop.

A server waits for its connections before it ends the lifespan, and a stream that waits for the
lifespan to end would never close. So the signal itself is heard.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A stream needs three: who waits for the event, its socket's task, and the sending.
_TURNS = 8


@contextmanager
def set_on_exit_signal(event: asyncio.Event) -> Iterator[None]:
    """Sets the event and then, some turns of the loop later, does what was done on the signal
    before: whoever waits for the event ends first, by itself."""
    if threading.current_thread() is not threading.main_thread():
        yield  # a server inside a thread gets no signals
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(event.set)
        loop.call_soon_threadsafe(go_on, number, frame, _TURNS)

    def go_on(number: int, frame: FrameType | None, turns: int) -> None:
        if turns:
            loop.call_soon(go_on, number, frame, turns - 1)
        else:
            before[number](number, frame)

    ours = [number for number in _SIGNALS if callable(before[number])]
    for number in ours:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
