"""Words for versions: moved by compare-and-set, remembered, and in the way of a deletion."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from store.aliases import delete_alias, list_aliases, list_moves, move_alias
from store.database import Database
from store.deletion import delete_job
from store.errors import AliasMoved, NotFound, Pinned
from store.policies import delete_policy, find_policy, promote_checkpoint
from store.settings import Settings
from tests.app.driving import best_checkpoint_of, trained_job


@pytest.fixture
def job_id(database: Database, settings: Settings) -> str:
    """Of swing:1 to swing:3."""
    identity = trained_job(database, settings, name="swing")
    checkpoint = best_checkpoint_of(database, identity)
    for _ in range(2):
        promote_checkpoint(database, checkpoint, None)
    return identity


def version_of(database: Database, reference: str) -> int:
    with database.read() as session:
        return find_policy(session, reference).version


def moves(database: Database, alias: str = "live") -> list[tuple[int | None, int | None]]:
    with database.read() as session:
        return [(m.from_version, m.to_version) for m in list_moves(session, "swing", alias)[0]]


def test_an_alias_is_made_moved_and_deleted(database: Database, job_id: str) -> None:
    made = move_alias(database, "swing", "live", 1, None)
    assert (made.version, version_of(database, "swing@live")) == (1, 1)
    moved = move_alias(database, "swing", "live", 3, 1)
    assert moved.moved_at >= made.moved_at
    assert version_of(database, "swing@live") == 3
    with database.read() as session:
        assert list_aliases(session, "swing") == [moved]
    delete_alias(database, "swing", "live", 3)
    with pytest.raises(NotFound, match="swing@live"):
        version_of(database, "swing@live")
    assert moves(database) == [(3, None), (1, 3), (None, 1)]


@pytest.mark.parametrize(("expected", "said"), [(None, "means version 2"), (1, "means version 2")])
def test_one_that_means_something_else_stays(
    database: Database, job_id: str, expected: int | None, said: str
) -> None:
    move_alias(database, "swing", "live", 2, None)
    with pytest.raises(AliasMoved, match=said) as refusal:
        move_alias(database, "swing", "live", 3, expected)
    assert refusal.value.details == {"current_version": 2}
    assert version_of(database, "swing@live") == 2
    with pytest.raises(AliasMoved, match="does not exist"):
        delete_alias(database, "swing", "none", 1)
    assert moves(database) == [(None, 2)]


def test_of_many_who_expect_the_same_one_moves_it(database: Database, job_id: str) -> None:
    move_alias(database, "swing", "live", 1, None)

    def move(version: int) -> bool:
        try:
            move_alias(database, "swing", "live", version, 1)
        except AliasMoved:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(move, [2, 3, 2, 3]))
    assert done.count(True) == 1
    assert len(moves(database)) == 2


def test_unknown_names_and_versions(database: Database, job_id: str) -> None:
    for name, version in (("none", 1), ("swing", 9)):
        with pytest.raises(NotFound):
            move_alias(database, name, "live", version, None)
    with database.read() as session:
        assert list_aliases(session, "swing") == []
        for name, alias in (("none", "live"), ("swing", "live")):
            with pytest.raises(NotFound):
                list_moves(session, name, alias)
        for reference in ("swing@", "@live", "swing@live:1", "swing@l\0ive"):
            with pytest.raises(NotFound):
                find_policy(session, reference)


def test_history_comes_in_pages(database: Database, job_id: str) -> None:
    move_alias(database, "swing", "live", 1, None)
    for version in (2, 3):
        move_alias(database, "swing", "live", version, version - 1)
    with database.read() as session:
        first, cursor = list_moves(session, "swing", "live", limit=2)
        rest, end = list_moves(session, "swing", "live", limit=2, cursor=cursor)
    assert [m.to_version for m in (*first, *rest)] == [3, 2, 1]
    assert end is None


def test_what_an_alias_means_is_not_deleted(database: Database, job_id: str) -> None:
    for alias in ("live", "best"):
        move_alias(database, "swing", alias, 2, None)
    for reference in ("swing:2", "swing@live"):
        with pytest.raises(Pinned, match="swing:2 is what swing@best, swing@live mean") as refusal:
            delete_policy(database, reference)
        assert refusal.value.details == {"aliases": ["swing@best", "swing@live"]}
    with pytest.raises(Pinned, match="swing@best"):
        delete_job(database, job_id, with_policies=True)
    delete_policy(database, "swing:3")
    for alias in ("live", "best"):
        move_alias(database, "swing", alias, 1, 2)
    delete_policy(database, "swing:2")
    assert version_of(database, "swing") == 1
