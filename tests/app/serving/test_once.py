"""Work that many wait for goes on once, and leaves the event loop free."""

import asyncio

from app.serving.once import Once


def test_who_waits_again_and_again_lets_others_in_between() -> None:
    """One that has ended and is not forgotten yet is begun anew, not waited for without end."""
    done = []

    async def main() -> None:
        once = Once()

        async def work() -> None:
            done.append(True)

        async def until(count: int) -> None:
            while len(done) < count:
                await once.do("work", work)

        once.begin("work", work)
        # Has its turn when the work has ended and nobody has been told of it.
        await asyncio.create_task(until(3))

    asyncio.run(main())
    assert len(done) == 3


def test_all_who_wait_hear_the_same() -> None:
    async def main() -> list[int]:
        once, counted = Once(), iter(range(10))

        async def count() -> int:
            await asyncio.sleep(0)
            return next(counted)

        heard: list[int] = await asyncio.gather(*(once.do("count", count) for _ in range(3)))
        return heard

    assert asyncio.run(main()) == [0, 0, 0]
