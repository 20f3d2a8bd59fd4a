"""Who leaves the memory when its budget is passed."""

import asyncio

import numpy as np
import pytest

from app.serving.policies import LoadedPolicies
from store.database import Database
from store.policies import promote_checkpoint
from tests.app.bundles import linear_bundle

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SIZE = len(linear_bundle().onnx)


def in_memory(database: Database, used: list[str], budget: int) -> set[str]:
    async def main() -> set[str]:
        policies = LoadedPolicies(database, budget_bytes=budget * SIZE)
        for reference in used:
            assert (await policies.get(reference)).measures is not None
        return {f"{each.name}:{each.version}" for each in policies._loaded.values()}

    return asyncio.run(main())


def test_versions_of_one_name_do_not_push_out_the_others(
    database: Database, checkpoint: str
) -> None:
    for _ in range(4):
        promote_checkpoint(database, checkpoint, "busy")
    promote_checkpoint(database, checkpoint, "quiet")
    used = ["quiet:1", *(f"busy:{version}" for version in (1, 2, 3, 4))]
    # Whoever was used longest ago is quiet, but busy holds three of four places.
    assert in_memory(database, used, 4) == {"quiet:1", "busy:2", "busy:3", "busy:4"}


def test_of_names_with_fair_shares_the_least_recently_used_one_leaves(
    database: Database, checkpoint: str
) -> None:
    for name in ("a", "b", "c"):
        promote_checkpoint(database, checkpoint, name)
    promote_checkpoint(database, checkpoint, "b")
    # Two of four is no more than its share.
    used = ["a:1", "b:1", "b:2", "c:1", "swing:1"]
    assert in_memory(database, used, 4) == {"b:1", "b:2", "c:1", "swing:1"}


def test_who_has_left_can_still_act(database: Database, checkpoint: str) -> None:
    promote_checkpoint(database, checkpoint, "a")

    async def main() -> None:
        policies = LoadedPolicies(database, budget_bytes=SIZE)
        first = await policies.get("swing")
        await policies.get("a")
        assert first.id not in policies._loaded
        forwarded = await first.batcher.submit(np.zeros((1, 3), np.float32))
        assert forwarded.is_finite

    asyncio.run(main())


def test_policies_that_push_each_other_out_are_all_answered(
    database: Database, checkpoint: str
) -> None:
    """Loaded together, with room for one."""
    promote_checkpoint(database, checkpoint, "a")
    names = ["swing", "a"] * 4

    async def main() -> list[str]:
        policies = LoadedPolicies(database, budget_bytes=1)
        asked = asyncio.gather(*(policies.get(name) for name in names))
        return [policy.name for policy in await asyncio.wait_for(asked, 30)]

    assert asyncio.run(main()) == names
