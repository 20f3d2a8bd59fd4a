"""One forward pass for all requests that arrived during the last one; nobody waits for company."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from app.refusals import QueueFull
from app.serving.bundle import Forward
from mrq_core.spaces import Floats

# A row costs about 30 us, so this is how long one pass may keep the event loop.
ROWS_PER_PASS = 64
MAX_ROWS_WAITING = 4096
# A row of pixels costs a millisecond and 100 KB: fewer of them, for the same time and memory.
VALUES_PER_PASS = 1 << 17
MAX_VALUES_WAITING = 1 << 25


@dataclass(frozen=True, slots=True)
class Forwarded:
    outputs: Floats  # (B, A), of this request
    batch_size: int  # observations in the pass, other requests' included
    queue_us: int
    compute_us: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: Floats
    result: asyncio.Future[Forwarded]
    since: int


class MicroBatcher:
    """The pass runs on the event loop: a thread's hand-over costs more than the pass.

    While it runs, further requests pile up in the sockets; they are read together and make the
    next batch.
    """

    def __init__(
        self, forward: Forward, width: int = 1, max_rows_waiting: int = MAX_ROWS_WAITING
    ) -> None:
        """`width` is D."""
        self._forward = forward
        self._rows_per_pass = max(1, min(ROWS_PER_PASS, VALUES_PER_PASS // width))
        self._max_rows_waiting = max(1, min(max_rows_waiting, MAX_VALUES_WAITING // width))
        self._waiting: deque[_Waiting] = deque()
        self._rows_waiting = 0

    def submit(self, rows: Floats) -> asyncio.Future[Forwarded]:
        """`rows` is (B, D). Raises `QueueFull` instead of letting the queue grow.

        A request that is alone is taken, however large: it would never fit otherwise.
        """
        if self._rows_waiting and self._rows_waiting + len(rows) > self._max_rows_waiting:
            raise QueueFull(
                f"{self._rows_waiting} observations wait for this policy already; "
                f"allowed: {self._max_rows_waiting}. Try again in a second."
            )
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._run)
        result: asyncio.Future[Forwarded] = loop.create_future()
        self._waiting.append(_Waiting(rows, result, time.perf_counter_ns()))
        self._rows_waiting += len(rows)
        return result

    def _run(self) -> None:
        batch = self._take()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([w.rows for w in batch])
        start = time.perf_counter_ns()
        try:
            outputs = self._forward(rows)
        except Exception as error:
            for waiting in batch:
                if not waiting.result.done():
                    waiting.result.set_exception(error)
            return
        compute = time.perf_counter_ns() - start
        _hand_out(batch, outputs, start, compute // 1000)

    def _take(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        size = len(batch[0].rows)
        while self._waiting and size + len(self._waiting[0].rows) <= self._rows_per_pass:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].rows)
        self._rows_waiting -= size
        return batch


def _hand_out(batch: list[_Waiting], outputs: Floats, start: int, compute_us: int) -> None:
    first = 0
    for waiting in batch:
        mine = outputs[first : first + len(waiting.rows)]
        first += len(waiting.rows)
        if not waiting.result.done():  # its client may have gone
            queue_us = (start - waiting.since) // 1000
            waiting.result.set_result(Forwarded(mine, len(outputs), queue_us, compute_us))
