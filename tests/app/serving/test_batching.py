"""What is there when the pass begins goes together; nobody waits, nothing grows without bound."""

import asyncio
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from app.refusals import DeadlineExceeded, QueueFull
from app.serving.batching import MAX_VALUES_WAITING, ROWS_PER_PASS, MicroBatcher
from app.serving.passes import INLINE_SECONDS, PassCost, measure_cost


class Doubling:
    """A forward pass that keeps count of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, rows: Any) -> Any:
        self.batches.append(len(rows))
        return rows * 2


def row(value: float) -> Any:
    return np.array([[value]], np.float32)


def test_each_gets_its_own_rows_from_one_pass() -> None:
    forward = Doubling()

    async def main() -> list[Any]:
        batcher = MicroBatcher(forward)
        pair = np.array([[10], [11]], np.float32)
        return await asyncio.gather(*(batcher.submit(r) for r in (row(1), pair, row(3))))

    results = asyncio.run(main())
    assert [result.outputs.tolist() for result in results] == [[[2]], [[20], [22]], [[6]]]
    assert {result.batch_size for result in results} == {4}
    assert forward.batches == [4]


def test_one_alone_goes_at_once() -> None:
    forward = Doubling()

    async def main() -> Any:
        future = MicroBatcher(forward).submit(row(1))
        await asyncio.sleep(0)  # one turn of the loop, no time
        return future.result()

    assert asyncio.run(main()).batch_size == 1


def test_a_pass_at_once_is_for_nobody_else() -> None:
    forward = Doubling()

    async def main() -> None:
        batcher = MicroBatcher(forward)
        done = batcher.at_once(row(3), time.perf_counter_ns() + 60 * 10**9)
        assert done is not None
        assert (done.outputs.tolist(), done.batch_size) == ([[6]], 1)
        waiting = batcher.submit(row(1))
        assert batcher.at_once(row(2)) is None
        assert (await waiting).batch_size == 1
        with pytest.raises(DeadlineExceeded):
            batcher.at_once(row(1), time.perf_counter_ns() - 1)
        long = MicroBatcher(forward, cost=PassCost(2 * INLINE_SECONDS, 0.0))
        assert long.at_once(row(1)) is None

    asyncio.run(main())


def test_a_pass_is_no_longer_than_the_loop_can_bear() -> None:
    forward = Doubling()

    async def main() -> list[Any]:
        batcher = MicroBatcher(forward)
        return await asyncio.gather(*(batcher.submit(row(i)) for i in range(ROWS_PER_PASS + 5)))

    results = asyncio.run(main())
    assert forward.batches == [ROWS_PER_PASS, 5]
    expected = [[[2.0 * i]] for i in range(ROWS_PER_PASS + 5)]
    assert [result.outputs.tolist() for result in results] == expected


def test_a_full_queue_refuses_and_recovers() -> None:
    async def main() -> None:
        batcher = MicroBatcher(Doubling(), max_rows_waiting=2)
        waiting = [batcher.submit(row(i)) for i in range(2)]
        with pytest.raises(QueueFull, match="allowed: 2"):
            batcher.submit(row(2))
        await asyncio.gather(*waiting)
        await batcher.submit(row(3))

    asyncio.run(main())


def test_a_pass_of_wide_rows_is_of_fewer() -> None:
    """Pixels: four gray frames of 84 by 84."""
    forward, width = Doubling(), 4 * 84 * 84

    async def main() -> None:
        batcher = MicroBatcher(forward, width)
        rows = [np.zeros((1, width), np.float32) for _ in range(9)]
        await asyncio.gather(*map(batcher.submit, rows))

    asyncio.run(main())
    assert forward.batches == [4, 4, 1]


def test_a_queue_of_wide_rows_is_shorter_and_one_alone_always_fits() -> None:
    width = MAX_VALUES_WAITING // 2

    async def main() -> None:
        batcher = MicroBatcher(Doubling(), width)
        three = np.broadcast_to(np.float32(1), (3, width))
        waiting = batcher.submit(three)
        with pytest.raises(QueueFull, match="allowed: 2"):
            batcher.submit(three[:1])
        waiting.cancel()

    asyncio.run(main())


def test_a_failing_pass_fails_its_requests_only() -> None:
    def forward(rows: Any) -> Any:
        if rows[0, 0] == 13:
            raise RuntimeError("unlucky")
        return rows

    async def main() -> None:
        batcher = MicroBatcher(forward)
        with pytest.raises(RuntimeError, match="unlucky"):
            await batcher.submit(row(13))
        assert (await batcher.submit(row(1))).outputs.tolist() == [[1]]

    asyncio.run(main())


def test_a_client_that_is_gone_does_not_disturb_the_others() -> None:
    async def main() -> None:
        batcher = MicroBatcher(Doubling())
        gone, there = batcher.submit(row(1)), batcher.submit(row(2))
        gone.cancel()
        assert (await there).outputs.tolist() == [[4]]

    asyncio.run(main())


def noting(order: list[str], name: str) -> Any:
    """A forward pass that says whose it is."""

    def forward(rows: Any) -> Any:
        order.append(name)
        return rows

    return forward


def test_policies_take_turns_however_long_their_queues() -> None:
    """One asked by many delays the other by a pass, not by its queue."""
    order: list[str] = []
    named = partial(noting, order)

    async def main() -> None:
        busy, quiet = MicroBatcher(named("busy")), MicroBatcher(named("quiet"))
        many = [busy.submit(row(i)) for i in range(10 * ROWS_PER_PASS)]
        await asyncio.gather(quiet.submit(row(0)), *many)

    asyncio.run(main())
    assert order[:2] == ["busy", "quiet"]
    assert order.count("busy") == 10


def test_policies_take_turns_on_the_thread_too() -> None:
    order: list[str] = []
    named = partial(noting, order)

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread:
            slow = PassCost(1.0, 0.0)
            busy = MicroBatcher(named("b"), cost=slow, thread=thread)
            quiet = MicroBatcher(named("q"), cost=slow, thread=thread)
            many = [busy.submit(row(i)) for i in range(5 * ROWS_PER_PASS)]
            await asyncio.gather(quiet.submit(row(0)), *many)

    asyncio.run(main())
    assert order[:2] == ["b", "q"]


def test_a_long_pass_leaves_the_loop_free_and_collects_meanwhile() -> None:
    go_on = threading.Event()
    batches: list[int] = []
    threads: set[int] = set()

    def forward(rows: Any) -> Any:
        threads.add(threading.get_ident())
        batches.append(len(rows))
        assert go_on.wait(10)
        return rows * 2

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread:
            batcher = MicroBatcher(forward, cost=PassCost(0.0, 1.0), thread=thread)
            first = batcher.submit(row(1))
            while not batches:
                await asyncio.sleep(0.001)
            later = [batcher.submit(row(i)) for i in (2, 3)]
            assert batcher.rows_waiting == 2
            go_on.set()
            results = await asyncio.gather(first, *later)
            assert [result.outputs.tolist() for result in results] == [[[2]], [[4]], [[6]]]

    asyncio.run(main())
    assert batches == [1, 2]
    assert threading.get_ident() not in threads


def test_a_short_pass_stays_on_the_loop_where_a_long_one_does_not() -> None:
    threads: list[bool] = []

    def forward(rows: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return rows

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread:
            cost = PassCost(0.0, INLINE_SECONDS / 2)
            batcher = MicroBatcher(forward, cost=cost, thread=thread)
            await batcher.submit(np.zeros((2, 1), np.float32))
            await batcher.submit(np.zeros((3, 1), np.float32))

    asyncio.run(main())
    assert threads == [True, False]


def test_a_failing_pass_on_the_thread_fails_its_requests_only() -> None:
    def forward(rows: Any) -> Any:
        if rows[0, 0] == 13:
            raise RuntimeError("unlucky")
        return rows

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread:
            batcher = MicroBatcher(forward, cost=PassCost(1.0, 0.0), thread=thread)
            with pytest.raises(RuntimeError, match="unlucky"):
                await batcher.submit(row(13))
            assert (await batcher.submit(row(1))).outputs.tolist() == [[1]]

    asyncio.run(main())


def test_what_is_late_before_its_pass_costs_none() -> None:
    forward = Doubling()

    async def main() -> None:
        batcher = MicroBatcher(forward)
        late, there = batcher.submit(row(1), time.perf_counter_ns()), batcher.submit(row(2))
        with pytest.raises(DeadlineExceeded):
            await late
        assert (await there).outputs.tolist() == [[4]]
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(row(3), time.perf_counter_ns())

    asyncio.run(main())
    assert forward.batches == [1]


def test_what_is_late_after_its_pass_is_no_answer() -> None:
    """Or its client would take it for the action of the next observation."""
    until: list[int] = []

    def forward(rows: Any) -> Any:
        while time.perf_counter_ns() <= until[0]:
            time.sleep(0.001)
        return rows

    async def main() -> None:
        batcher = MicroBatcher(forward)
        until.append(time.perf_counter_ns() + 50_000_000)
        late, there = batcher.submit(row(1), until[0]), batcher.submit(row(2))
        with pytest.raises(DeadlineExceeded):
            await late
        assert (await there).outputs.tolist() == [[2]]

    asyncio.run(main())


def test_the_cost_of_a_pass_is_a_line_through_two_sizes() -> None:
    """A clock by which a pass takes 10 and 3 for each row."""
    now = 0.0

    def forward(rows: Any) -> Any:
        nonlocal now
        now += 10 + 3 * len(rows)
        return rows

    cost = measure_cost(forward, 4, lambda: now)
    assert (cost.fixed_seconds, cost.row_seconds) == pytest.approx((10, 3))
    assert cost.seconds(5) == pytest.approx(25)


class Raising:
    """A receiver that breaks its promise."""

    def done(self) -> bool:
        return False

    def set_result(self, _: Any) -> None:
        raise ValueError("a broken promise")

    def set_exception(self, _: BaseException) -> None:
        pass


@pytest.mark.parametrize("on_thread", [False, True])
def test_one_receiver_stops_no_others(on_thread: bool) -> None:
    async def main() -> Any:
        with ThreadPoolExecutor(1) as thread:
            cost = PassCost(1.0 if on_thread else 0.0, 0.0)
            batcher = MicroBatcher(Doubling(), cost=cost, thread=thread)
            batcher.enqueue(row(1), Raising())
            behind = batcher.submit(row(2))
            with pytest.raises(ValueError, match="promise"):
                await asyncio.wait_for(behind, 5)
            return await asyncio.wait_for(batcher.submit(row(3)), 5)

    assert asyncio.run(main()).outputs.tolist() == [[6]]


def test_a_full_pass_waits_in_the_threads_own_queue() -> None:
    """So that the thread goes on while the event loop is busy; a smaller one waits for company."""
    begun: queue.Queue[int] = queue.Queue()
    release = threading.Semaphore(0)

    def forward(rows: Any) -> Any:
        begun.put(len(rows))
        assert release.acquire(timeout=10)
        return rows

    def rows(count: int) -> Any:
        return np.zeros((count, 1), np.float32)

    async def main() -> None:
        with ThreadPoolExecutor(1) as thread:
            batcher = MicroBatcher(forward, cost=PassCost(1.0, 0.0), thread=thread)
            results = [batcher.submit(rows(3))]
            assert await asyncio.to_thread(begun.get, timeout=10) == 3
            for count in (1, 2):
                results.append(batcher.submit(rows(count)))
                await asyncio.sleep(0)
            release.release()
            assert await asyncio.to_thread(begun.get, timeout=10) == 3  # the two together
            results.append(batcher.submit(rows(ROWS_PER_PASS)))
            await asyncio.sleep(0)
            release.release()
            assert begun.get(timeout=10) == ROWS_PER_PASS  # the loop has had no turn
            release.release()
            sizes = [len((await result).outputs) for result in results]
            assert sizes == [3, 1, 2, ROWS_PER_PASS]

    asyncio.run(main())
