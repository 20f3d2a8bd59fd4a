"""One forward pass for all requests that arrived during the last one; nobody waits for company.

Each policy has a batcher of its own with at most one pass under way and a full one behind it, and
passes take turns: on the event loop by its queue of callbacks, on the thread by the thread's. So a
policy that is asked a lot delays another one by two passes at most, never by its queue.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

import numpy as np

from app.refusals import DeadlineExceeded, QueueFull
from app.serving.bundle import Forward
from app.serving.measures import PolicyMeasures
from app.serving.passes import INLINE_SECONDS, UNKNOWN_COST, Forwarded, Pass, PassCost
from app.serving.seen import SeenRange
from mrq_core.spaces import Floats

# Where a row costs about 30 us, so this is how long one pass may take.
ROWS_PER_PASS = 64
MAX_ROWS_WAITING = 4096
# A row of pixels costs a millisecond and 100 KB: fewer of them, for the same time and memory.
VALUES_PER_PASS = 1 << 17
MAX_VALUES_WAITING = 1 << 25


class Receiver(Protocol):
    """Who waits for a pass: a future, or whatever has these three of a future's methods. None of
    them raises anything: others of the same pass wait behind it."""

    def done(self) -> bool:
        """Whether it has been told, or it is too late for that."""

    def set_result(self, result: Forwarded, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...


class _Waiting:
    __slots__ = ("deadline", "result", "rows", "since")

    def __init__(self, rows: Floats, result: Receiver, since: int, deadline: int | None) -> None:
        self.rows = rows
        self.result = result
        self.since = since
        self.deadline = deadline


class MicroBatcher:
    """A short pass runs on the event loop: a thread's hand-over costs more than the pass. While it
    runs, further requests pile up in the sockets; they are read together and make the next batch.

    A pass longer than `INLINE_SECONDS` runs on `thread`, and the loop goes on collecting.
    """

    def __init__(
        self,
        forward: Forward,
        width: int = 1,
        max_rows_waiting: int = MAX_ROWS_WAITING,
        cost: PassCost = UNKNOWN_COST,
        thread: Executor | None = None,
        measures: PolicyMeasures | None = None,
        seen: SeenRange | None = None,
    ) -> None:
        """`width` is D; `seen`, what the policy met in training."""
        self._seen = seen
        self._measures = measures or PolicyMeasures()
        self._forward = forward
        self._cost = cost
        self._thread = thread
        self._rows_per_pass = max(1, min(ROWS_PER_PASS, VALUES_PER_PASS // width))
        self._max_rows_waiting = max(1, min(max_rows_waiting, MAX_VALUES_WAITING // width))
        self._waiting: deque[_Waiting] = deque()
        self._rows_waiting = 0
        self._begun = False  # a pass, or the call for one
        self._on_thread = 0  # passes there, or in its queue

    @property
    def rows_waiting(self) -> int:
        return self._rows_waiting

    def submit(self, rows: Floats, deadline: int | None = None) -> asyncio.Future[Forwarded]:
        """As `enqueue`."""
        result: asyncio.Future[Forwarded] = asyncio.get_running_loop().create_future()
        self.enqueue(rows, result, deadline)
        return result

    def enqueue(self, rows: Floats, receiver: Receiver, deadline: int | None = None) -> None:
        """`rows` is (B, D). Raises `QueueFull` instead of letting the queue grow. The receiver gets
        `DeadlineExceeded` after `deadline`, a time of `perf_counter_ns`.

        A request that is alone is taken, however large: it would never fit otherwise.
        """
        if self._rows_waiting and self._rows_waiting + len(rows) > self._max_rows_waiting:
            raise QueueFull(
                f"{self._rows_waiting} observations wait for this policy already; "
                f"allowed: {self._max_rows_waiting}. Try again in a second."
            )
        self._waiting.append(_Waiting(rows, receiver, time.perf_counter_ns(), deadline))
        self._rows_waiting += len(rows)
        if not self._begun or self._has_next_for_thread():
            self._begun = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._run, loop)

    def at_once(self, rows: Floats, deadline: int | None = None) -> Forwarded | None:
        """A short pass for one request alone, without the event loop's detours; None if a pass is
        under way or waits, or would be a long one. Raises `DeadlineExceeded`.

        For whoever knows that nobody is there to share a pass with.
        """
        if self._begun or self._cost.seconds(len(rows)) > INLINE_SECONDS:
            return None
        since = time.perf_counter_ns()
        done = Pass.of(self._forward, rows)
        self._count(done)
        if deadline is not None and time.perf_counter_ns() > deadline:
            raise _too_late()
        return Forwarded(done, 0, len(rows), (done.begun - since) // 1000)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whatever happens to a batch, there is a next one."""
        if self._on_thread and not self._has_next_for_thread():
            return
        batch = self._take()
        try:
            if batch and self._pass(loop, batch):
                return
        except Exception as error:
            _fail(batch, error)
        self._go_on(loop)

    def _pass(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> bool:
        """Whether it goes on in the thread."""
        rows = batch[0].rows if len(batch) == 1 else np.concatenate([w.rows for w in batch])
        if not self._is_long(len(rows)):
            self._hand_out(batch, Pass.of(self._forward, rows))
            return False
        begun = loop.run_in_executor(self._thread, Pass.of, self._forward, rows)
        self._on_thread += 1
        begun.add_done_callback(partial(self._done, loop, batch))
        return True

    def _has_next_for_thread(self) -> bool:
        """A pass that is as large as it may be waits in the thread's queue, so that the thread need
        not wait for the event loop; a smaller one waits here, for company."""
        return self._on_thread == 1 and self._rows_waiting >= self._rows_per_pass

    def _done(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], future: asyncio.Future[Pass]
    ) -> None:
        self._on_thread -= 1
        if self._is_long(min(self._rows_waiting, self._rows_per_pass)):
            self._run(loop)  # the thread need not wait while answers are written
        try:
            self._hand_out(batch, future.result())
        except (Exception, asyncio.CancelledError) as error:
            _fail(batch, error)
        self._go_on(loop)

    def _hand_out(self, batch: list[_Waiting], done: Pass) -> None:
        self._count(done)
        first = 0
        for waiting in batch:
            last = first + len(waiting.rows)
            # A late action may be taken for that of the next observation.
            if waiting.deadline is not None and _is_late(waiting.deadline):
                _refuse_late(waiting)
            elif not waiting.result.done():  # its client may have gone
                queue_us = (done.begun - waiting.since) // 1000
                waiting.result.set_result(Forwarded(done, first, last, queue_us))
            first = last

    def _count(self, done: Pass) -> None:
        outside = 0 if self._seen is None else done.look(self._seen)
        self._measures.passed(len(done.rows), done.compute_us, outside)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = bool(self._on_thread or self._waiting)
        if self._waiting and not self._on_thread:
            loop.call_soon(self._run, loop)

    def _is_long(self, rows: int) -> bool:
        return self._thread is not None and self._cost.seconds(rows) > INLINE_SECONDS

    def _take(self) -> list[_Waiting]:
        """Those whose time is over, and those whose client is gone, cost no pass."""
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and (
            not batch or size + len(self._waiting[0].rows) <= self._rows_per_pass
        ):
            waiting = self._waiting.popleft()
            self._rows_waiting -= len(waiting.rows)
            if waiting.deadline is not None and _is_late(waiting.deadline):
                _refuse_late(waiting)
            elif not waiting.result.done():
                batch.append(waiting)
                size += len(waiting.rows)
        return batch


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        if not waiting.result.done():
            waiting.result.set_exception(error)


def _is_late(deadline: int) -> bool:
    return time.perf_counter_ns() > deadline


def _refuse_late(waiting: _Waiting) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(_too_late())


def _too_late() -> DeadlineExceeded:
    text = "There was no action before the deadline of this request."
    return DeadlineExceeded(text, param="deadline_ms")
