"""Short passes of busy policies are shared by threads, and give what they gave before."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.service import Service
from app.serving.live import LivePolicy, Opener
from app.serving.passes import PassCost, ShortPasses
from app.serving.policies import LoadedPolicies
from app.serving.sharing import (
    BUSY_PASSES,
    IDLE_PASSES,
    JUDGED_PASSES,
    PAUSE_SECONDS,
    Sharing,
)
from mrq_core.spaces import Floats
from store.database import Database
from store.errors import NotFound
from store.policies import promote_checkpoint

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROW = np.array([[0.5, -1.0, 2.0]], np.float32)
Scene = Callable[[LoadedPolicies, "Shared"], Awaitable[None]]


class Shared:
    """Opens as a server does, and counts the passes of what it has opened."""

    def __init__(self, opener: Opener) -> None:
        self.opener = opener
        self.failure: Exception | None = None
        self.cost = PassCost(0.0, 0.0)
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

        return ShortPasses(counted, self.cost)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


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


def test_a_busy_one_that_would_not_fit_anyway_puts_nobody_out(
    database: Database, checkpoint: str
) -> None:
    promote_checkpoint(database, checkpoint, "other")

    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        first, second = await policies.get("swing"), await policies.get("other")
        sharing = Sharing(policies._loaded, shared, budget_bytes=first.size_bytes)
        await ask(first, BUSY_PASSES)
        await sharing.look()
        policies._loaded[second.id] = replace(second, size_bytes=first.size_bytes + 1)
        await ask(second, BUSY_PASSES)
        await sharing.look()
        assert shared.opened == [first.id]
        await ask(first, 1)
        assert shared.passes == 1

    play(database, scene)


@pytest.mark.parametrize(
    ("failure", "waits"),
    [
        (NotFound("policy", "gone"), PAUSE_SECONDS),
        (MemoryError(), PAUSE_SECONDS),
        (ValueError("broken"), math.inf),
    ],
)
def test_where_it_fails_the_policy_acts_on(
    database: Database, checkpoint: str, failure: Exception, waits: float
) -> None:
    clock = Clock()

    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        policy = await policies.get("swing")
        sharing = Sharing(policies._loaded, shared, clock=clock)
        shared.failure = failure
        for clock.now in (0.0, PAUSE_SECONDS - 1, PAUSE_SECONDS):
            await ask(policy, BUSY_PASSES)
            await sharing.look()
        assert len(shared.opened) == (2 if waits == PAUSE_SECONDS else 1)
        assert (await ask(policy, 1)).shape == (1, 2)

    play(database, scene)


def test_passes_that_gain_nothing_are_tried_again_later(
    database: Database, checkpoint: str
) -> None:
    clock = Clock()

    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        policy = await policies.get("swing")
        sharing = Sharing(policies._loaded, shared, clock=clock)
        shared.cost = policy.batcher.own.cost
        for clock.now, opened in ((0.0, 1), (PAUSE_SECONDS - 1, 1), (PAUSE_SECONDS, 2)):
            await ask(policy, BUSY_PASSES)
            await sharing.look()
            assert len(shared.opened) == opened
        assert shared.passes == 0

    play(database, scene)


@pytest.mark.parametrize(("slow", "is_let_go"), [(2, False), (3, True)])
def test_one_whose_threads_wait_for_a_core_is_let_go(
    database: Database, checkpoint: str, slow: int, is_let_go: bool
) -> None:
    clock = Clock()

    async def scene(policies: LoadedPolicies, shared: Shared) -> None:
        policy = await policies.get("swing")
        sharing = Sharing(policies._loaded, shared, clock=clock)
        await ask(policy, BUSY_PASSES)
        await sharing.look()
        for found in (slow, 0):
            await ask(policy, JUDGED_PASSES // 2)
            policy.batcher._slow_passes = found
            await sharing.look()
        before = shared.passes
        await ask(policy, BUSY_PASSES)
        assert (shared.passes == before) == is_let_go
        await sharing.look()
        assert len(shared.opened) == 1
        clock.now = PAUSE_SECONDS
        await ask(policy, BUSY_PASSES)
        await sharing.look()
        assert len(shared.opened) == (2 if is_let_go else 1)

    play(database, scene)


def test_the_server_follows_its_load(
    client: TestClient, app: Service, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing = app.state.policies._sharing
    monkeypatch.setattr(sharing, "_open", lambda policy: policy.batcher.own)
    monkeypatch.setattr("app.serving.sharing.WORTHWHILE", math.inf)
    until = time.monotonic() + 20
    while not sharing._sharing:
        assert time.monotonic() < until
        answer = client.post("/policies/swing/act", json={"observation": ROW[0].tolist()})
        assert answer.status_code == 200


def test_with_one_thread_there_is_nothing_to_follow(database: Database) -> None:
    async def scene(policies: LoadedPolicies, _: Shared) -> None:
        await asyncio.wait_for(policies.follow_load(), 5)

    play(database, scene, threads=1)
