"""What is there when the pass begins goes together; nobody waits, nothing grows without bound."""

import asyncio
from typing import Any

import numpy as np
import pytest

from app.refusals import QueueFull
from app.serving.batching import MAX_VALUES_WAITING, ROWS_PER_PASS, MicroBatcher


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
