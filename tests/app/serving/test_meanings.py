"""A newer version takes its place beside the requests, which never wait for it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.serving import bundle, meanings
from app.serving.lookup import Found
from app.serving.policies import LoadedPolicies
from store.aliases import move_alias
from store.database import Database
from store.errors import NotFound
from store.policies import delete_policy
from store.settings import Settings
from tests.app.serving.swinging import broken, trained

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanings, "NAME_SECONDS", 0.02)
    monkeypatch.setattr(meanings, "FIXED_SECONDS", 0.02)
    monkeypatch.setattr(meanings, "GRACE_SECONDS", 60.0)  # a busy machine's look-ups take long


class Gate:
    """Loads wait at it while it is closed."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self.opened: list[int] = []


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, original = Gate(), bundle.open_policy

    def waiting(servable: Any, threads: int) -> Any:
        gate.opened.append(servable.version)
        assert gate.is_open.wait(20)
        return original(servable, threads)

    monkeypatch.setattr(bundle, "open_policy", waiting)
    yield gate
    gate.is_open.set()


async def acts(policies: LoadedPolicies, version: int, reference: str = "swing") -> None:
    """Asks until it does."""
    async with asyncio.timeout(20):
        while (policy := policies.at_hand(reference)) is None or policy.version != version:
            await asyncio.sleep(0.001)


def test_the_old_one_acts_while_the_new_one_is_loaded(
    database: Database, settings: Settings, gate: Gate
) -> None:
    trained(database, settings, 1)

    async def main() -> None:
        policies = LoadedPolicies(database)
        assert (await policies.acting("swing")).version == 1
        gate.is_open.clear()
        trained(database, settings, 1)
        for _ in range(200):  # for many times as long as a meaning is fresh
            policy = policies.at_hand("swing")
            assert policy is not None
            assert policy.version == 1
            await asyncio.sleep(0.001)
        assert gate.opened == [1, 2]  # it is being loaded, once
        gate.is_open.set()
        await acts(policies, 2)
        assert policies.swaps.swaps == {("swing", "ok"): 1}

    asyncio.run(main())


def test_one_that_cannot_be_loaded_leaves_the_old_one(
    database: Database, settings: Settings, gate: Gate
) -> None:
    trained(database, settings, 1)

    async def main() -> None:
        policies = LoadedPolicies(database)
        await policies.acting("swing")
        broken(database, settings)
        for _ in range(200):
            policy = policies.at_hand("swing")
            assert policy is not None
            assert policy.version == 1
            await asyncio.sleep(0.001)
        assert gate.opened == [1, 2]  # and not again and again
        assert policies.swaps.swaps == {("swing", "failed"): 1}
        trained(database, settings, 1)
        await acts(policies, 3)

    asyncio.run(main())


def test_a_burst_of_requests_looks_up_once_and_waits_for_nothing(
    database: Database, settings: Settings
) -> None:
    trained(database, settings, 1)
    looked: list[str] = []

    async def main() -> None:
        policies = LoadedPolicies(database)
        original = policies.meanings.look_up

        def counted(reference: str, known: str | None) -> Found:
            looked.append(reference)
            return original(reference, known)

        policies.meanings.look_up = counted
        await policies.acting("swing")
        await asyncio.sleep(meanings.NAME_SECONDS + 0.01)
        assert all(policies.at_hand("swing") is not None for _ in range(100))
        assert looked == ["swing"]
        while len(looked) < 2:
            await asyncio.sleep(0.001)
        assert looked == ["swing"] * 2

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["hangs", "fails"])
def test_without_the_database_the_last_known_meaning_stays(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(meanings, "PATIENCE_SECONDS", 0.02)
    trained(database, settings, 1)
    release, asked = threading.Event(), []

    def away(reference: str, known: str | None) -> Found:
        asked.append(reference)
        if fault == "hangs":
            release.wait(20)
        raise OperationalError("SELECT 1", {}, Exception("away"))

    async def main() -> None:
        policies = LoadedPolicies(database)
        await policies.acting("swing")
        policies.meanings.look_up = away
        meaning = policies.meanings.table["swing"]
        until = meaning.fresh_until
        async with asyncio.timeout(20):
            while meaning.fresh_until < until + 5 * meanings.NAME_SECONDS:
                assert policies.at_hand("swing") is not None
                await asyncio.sleep(0.001)
        await asyncio.sleep(2 * meanings.NAME_SECONDS)
        assert (await policies.acting("swing")).version == 1
        release.set()

    asyncio.run(main())
    assert asked


def test_a_deletion_elsewhere_ends_it(database: Database, settings: Settings) -> None:
    ids = trained(database, settings, 2)

    async def main() -> None:
        policies = LoadedPolicies(database)
        assert (await policies.acting("swing")).version == 2
        assert (await policies.acting("swing:2")).id == ids[1]
        delete_policy(database, "swing:2")
        async with asyncio.timeout(20):
            while policies.at_hand("swing:2") is not None:
                await asyncio.sleep(0.001)
        with pytest.raises(NotFound):
            await policies.acting("swing:2")
        await asyncio.sleep(meanings.NAME_SECONDS + 0.01)
        assert (await policies.acting("swing")).version == 1

    asyncio.run(main())


def test_a_deleted_one_does_not_act_on_where_the_one_before_is_broken(
    database: Database, settings: Settings
) -> None:
    """Nothing acts then: what was deleted was to act no more."""
    broken(database, settings)
    trained(database, settings, 1)

    async def main() -> None:
        policies = LoadedPolicies(database)
        assert (await policies.acting("swing")).version == 2
        delete_policy(database, "swing:2")
        async with asyncio.timeout(20):
            while policies.at_hand("swing") is not None:
                await asyncio.sleep(0.001)

    asyncio.run(main())


@pytest.mark.parametrize("told", ["that it moved", "where to"])
def test_a_move_here_is_seen_at_once_even_if_a_look_up_began_before(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    ids = trained(database, settings, 2)
    move_alias(database, "swing", "live", 1, None)
    looking, go_on = threading.Event(), threading.Event()

    async def main() -> None:
        policies = LoadedPolicies(database)
        assert (await policies.acting("swing@live")).version == 1
        original = policies.meanings.look_up

        def late(reference: str, known: str | None) -> Found:
            found = original(reference, known)
            looking.set()
            assert go_on.wait(20)
            return found

        policies.meanings.look_up = late
        await asyncio.sleep(meanings.NAME_SECONDS + 0.01)
        policies.at_hand("swing@live")  # begins to look, and finds the old version
        assert await asyncio.to_thread(looking.wait, 20)
        policies.meanings.look_up = original
        move_alias(database, "swing", "live", 2, 1)
        if told == "where to":
            await policies.prepare("swing:2")
            policies.change("swing@live", ids[1])
            monkeypatch.setattr(meanings, "NAME_SECONDS", 60.0)  # nobody looks again
            go_on.set()
            await policies.meanings._once.past("look swing@live")
        else:
            moving = asyncio.create_task(policies.moved("swing@live"))
            await asyncio.sleep(0.01)
            go_on.set()
            await moving
        policy = policies.at_hand("swing@live")
        assert policy is not None
        assert policy.version == 2
        assert policies.swaps.swaps == {("swing", "ok"): 1}

    asyncio.run(main())
