"""Which policies are in memory, and what a name means."""

import asyncio
import threading
import time
from typing import Any

import pytest

from app.refusals import PolicyBroken
from app.serving import bundle
from app.serving import meanings as module
from app.serving.policies import LoadedPolicies
from store.database import Database
from store.errors import NotFound
from store.policies import promote_checkpoint
from store.settings import Settings
from tests.app.bundles import linear_bundle
from tests.app.driving import trained_job

SIZE = len(linear_bundle().onnx)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the policies, in the order in which they were opened."""
    opened: list[str] = []
    original = bundle.open_policy

    def counted(servable: Any, threads: int) -> Any:
        opened.append(servable.id)
        return original(servable, threads)

    monkeypatch.setattr(bundle, "open_policy", counted)
    return opened


def test_a_policy_is_loaded_once_for_all_who_ask_at_once(
    database: Database, checkpoint: str, loads: list[str]
) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database)
        asked = [policies.get(name) for name in ("swing", "swing:1", "swing") * 5]
        assert len({policy.id for policy in await asyncio.gather(*asked)}) == 1
        assert len(policies) == 1

    asyncio.run(main())
    assert len(loads) == 1


def test_a_policy_is_loaded_beside_the_event_loop(
    database: Database, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, inside, release = bundle.open_policy, threading.Event(), threading.Event()

    def slow(servable: Any, threads: int) -> Any:
        inside.set()
        assert release.wait(10)
        return original(servable, threads)

    monkeypatch.setattr(bundle, "open_policy", slow)

    async def main() -> None:
        policies = LoadedPolicies(database)
        loading = asyncio.create_task(policies.get("swing"))
        while not inside.is_set():  # only a loop that still turns gets here
            await asyncio.sleep(0.001)
        release.set()
        assert (await loading).name == "swing"

    asyncio.run(main())


def test_a_promotion_elsewhere_is_seen_after_a_moment(database: Database, checkpoint: str) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database)
        assert (await policies.get("swing")).version == 1
        promote_checkpoint(database, checkpoint, None)
        await asyncio.sleep(module.NAME_SECONDS + 0.01)
        assert (await policies.get("swing")).version == 2
        assert (await policies.get("swing:1")).version == 1

    asyncio.run(main())


def test_a_promotion_here_is_seen_at_once(database: Database, checkpoint: str) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database)
        await policies.get("swing")
        promote_checkpoint(database, checkpoint, None)
        await policies.moved("swing")
        assert (await policies.get("swing")).version == 2

    asyncio.run(main())


def test_the_least_recently_used_one_gives_way(
    database: Database, checkpoint: str, loads: list[str]
) -> None:
    ids = [promote_checkpoint(database, checkpoint, f"p{index}").id for index in range(3)]

    async def main() -> None:
        policies = LoadedPolicies(database, budget_bytes=2 * SIZE)
        for index in (0, 1, 0, 2, 0, 1):  # 2 drives 1 out, for 0 was used since
            await policies.get(ids[index])
        assert len(policies) == 2

    asyncio.run(main())
    assert loads == [ids[0], ids[1], ids[2], ids[1]]


def test_one_that_is_larger_than_the_budget_is_served_all_the_same(
    database: Database, checkpoint: str
) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database, budget_bytes=1)
        assert (await policies.get("swing")).version == 1
        assert len(policies) == 1

    asyncio.run(main())


def test_a_broken_one_is_refused_each_time_and_tried_once(
    database: Database, settings: Settings, loads: list[str]
) -> None:
    trained_job(database, settings, linear_bundle(format_version=99), name="broken")

    async def main() -> None:
        policies = LoadedPolicies(database)
        for _ in range(3):
            with pytest.raises(PolicyBroken, match="its format is 99"):
                await policies.get("broken")
        assert len(policies) == 0

    asyncio.run(main())
    assert len(loads) == 1


def test_one_that_is_not_there(database: Database) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database)
        for reference in ("none", "none:1", "pol_none", "x" * 500):
            with pytest.raises(NotFound):
                await policies.get(reference)

    asyncio.run(main())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_loaded_policy_does_not_need_the_database(
    database: Database, settings: Settings, checkpoint: str
) -> None:
    async def main() -> None:
        policies = LoadedPolicies(database)
        known = await policies.get("swing")
        assert await policies.get(known.id) is known
        database.dispose()
        settings.data_dir.rename(settings.data_dir.with_name("away"))
        await asyncio.sleep(module.NAME_SECONDS + 0.01)
        assert await policies.get("swing") is known
        assert await policies.get(known.id) is known

    asyncio.run(main())


def test_a_database_that_hangs_delays_a_loaded_policy_a_little(
    database: Database, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    async def main() -> None:
        policies = LoadedPolicies(database)
        known = await policies.get("swing")
        monkeypatch.setattr(policies.meanings, "look_up", lambda *_: release.wait(30))
        await asyncio.sleep(module.NAME_SECONDS + 0.01)
        begun = time.monotonic()
        assert await policies.get("swing") is known
        assert time.monotonic() - begun < 10  # far less than the 30 s of the database
        release.set()

    asyncio.run(main())
