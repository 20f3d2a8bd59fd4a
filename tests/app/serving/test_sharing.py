"""Short passes of busy policies are shared by threads, and give what they gave before."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from app.serving.live import LivePolicy, Opener
from app.serving.passes import ShortPasses
from app.serving.policies import LoadedPolicies
from app.serving.sharing import BUSY_PASSES, IDLE_PASSES, Sharing
from mrq_core.spaces import Floats
from store.database import Database
from store.errors import NotFound
from store.policies import promote_checkpoint

ROW = np.array([[0.5, -1.0, 2.0]], np.float32)
Scene = Callable[[LoadedPolicies, "Shared"], Awaitable[None]]


class Shared:
    """Opens as a server does, and counts the passes of what it has opened."""

    def __init__(self, opener: Opener) -> None:
        self.opener = opener
        self.failure: Exception | None = None
        self.opened: list[str] = []
        self.passes = 0

    def __call__(self, policy: LivePolicy) -> ShortPasses | None:
        self.opened.append(policy.id)
        if self.failure is not None:
            raise self.failure
        shared = self.opener.shared(policy)
        if shared is None:
            return None

        def counted(rows: Floats) -> Floats:
            self.passes += 1
            return shared.forward(rows)

        return ShortPasses(counted, shared.cost)


def play(database: Database, scene: Scene, threads: int = 2) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database, pass_threads=threads)
        try:
            await scene(policies, Shared(policies._opener))
        finally:
            policies.close()

    asyncio.run(main())


async def ask(policy: LivePolicy, times: int) -> Floats:
    for _ in range(times):
        forwarded = await policy.batcher.submit(ROW)
    return forwarded.outputs


def test_a_busy_policy_is_shared(database: Database, checkpoint: str) -> None:
    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        policy = await policies.get("swing")
        sharing = Sharing(policies._loaded, shared)
        expected = await ask(policy, BUSY_PASSES - 1)
        await sharing.look()
        assert shared.opened == []

        await ask(policy, BUSY_PASSES)
        await sharing.look()
        outputs = await ask(policy, 3)
        assert policy.batcher.at_once(ROW) is not None
        assert shared.passes == 4
        np.testing.assert_array_equal(outputs, expected)

        await ask(policy, BUSY_PASSES)
        await sharing.look()
        assert shared.opened == [policy.id]

    play(database, scene)


def test_an_idle_one_makes_room_for_a_busy_one(database: Database, checkpoint: str) -> None:
    promote_checkpoint(database, checkpoint, "other")

    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        first, second = await policies.get("swing"), await policies.get("other")
        sharing = Sharing(policies._loaded, shared, budget_bytes=first.size_bytes)
        await ask(first, BUSY_PASSES)
        await sharing.look()
        for times, opened in ((IDLE_PASSES, [first.id]), (1, [first.id, second.id])):
            await ask(first, times)
            await ask(second, BUSY_PASSES)
            await sharing.look()
            assert shared.opened == opened
        passes = shared.passes
        await ask(first, 1)
        assert shared.passes == passes
        await ask(second, 1)
        assert shared.passes == passes + 1

    play(database, scene)


def test_one_that_has_left_the_memory_is_let_go(database: Database, checkpoint: str) -> None:
    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        policy = await policies.get("swing")
        sharing = Sharing(policies._loaded, shared)
        await ask(policy, BUSY_PASSES)
        await sharing.look()
        policies.forget_policy(policy.id)
        await sharing.look()
        await ask(policy, 1)
        assert shared.passes == 0

    play(database, scene)


@pytest.mark.parametrize(
    ("failure", "tries"), [(NotFound("policy", "gone"), 2), (ValueError("broken"), 1)]
)
def test_where_it_fails_the_policy_acts_on(
    database: Database, checkpoint: str, failure: Exception, tries: int
) -> None:
    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        policy = await policies.get("swing")
        sharing = Sharing(policies._loaded, shared)
        shared.failure = failure
        for _ in range(2):
            await ask(policy, BUSY_PASSES)
            await sharing.look()
        assert len(shared.opened) == tries
        assert (await ask(policy, 1)).shape == (1, 2)

    play(database, scene)


def test_the_server_follows_its_load(
    database: Database, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serving.sharing.LOOK_SECONDS", 0.01)

    async def until_shared(policies: LoadedPolicies, _: Shared) -> None:
        policy = await policies.get("swing")
        following = asyncio.create_task(policies.follow_load())
        async with asyncio.timeout(20):
            while policy.batcher._short.forward is policy.actor.forward:
                await ask(policy, BUSY_PASSES)
        following.cancel()

    async def never(policies: LoadedPolicies, _: Shared) -> None:
        await asyncio.wait_for(policies.follow_load(), 5)  # nothing to do with one thread

    play(database, until_shared)
    play(database, never, threads=1)
