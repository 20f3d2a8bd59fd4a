"""Which versions act for a name, changed by compare-and-set of a revision."""

import pytest

from store.database import Database
from store.deletion import delete_job
from store.errors import InvalidInput, NotFound, Pinned, TrafficMoved
from store.policies import delete_policy
from store.settings import Settings
from store.traffic import Share, clear_traffic, find_traffic, set_traffic, traffic_of
from tests.app.bundles import DISCRETE, linear_bundle
from tests.app.driving import trained_job

EVEN = [Share(version=1, weight=1.0), Share(version=2, weight=3.0)]


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    """swing:1 to swing:3, of a job each."""
    for _ in range(3):
        trained_job(database, settings, name="swing")


def test_settings_are_made_changed_and_cleared(database: Database) -> None:
    made = set_traffic(database, "swing", EVEN, [3], None)
    assert (made.revision, made.routes, made.shadow) == (1, EVEN, [3])
    with database.read() as session:
        assert find_traffic(session, "swing") == made
    assert set_traffic(database, "swing", EVEN[:1], [], 1).revision == 2
    clear_traffic(database, "swing", 2)
    with database.read() as session:
        assert traffic_of(session, "swing") is None
        with pytest.raises(NotFound, match="traffic"):
            find_traffic(session, "swing")
    # A revision never comes back: who saw the first one does not take this for it.
    assert set_traffic(database, "swing", EVEN, [], None).revision == 4


@pytest.mark.parametrize("expected", [None, 2])
def test_settings_of_another_revision_stay(database: Database, expected: int | None) -> None:
    made = set_traffic(database, "swing", EVEN, [], None)
    with pytest.raises(TrafficMoved, match="has revision 1 now") as refusal:
        set_traffic(database, "swing", EVEN[:1], [], expected)
    assert refusal.value.details == {"current_revision": 1}
    with pytest.raises(TrafficMoved):
        clear_traffic(database, "swing", 9)
    with database.read() as session:
        assert find_traffic(session, "swing") == made


def test_versions_must_exist_and_be_alike(database: Database, settings: Settings) -> None:
    with pytest.raises(NotFound, match="swing:9"):
        set_traffic(database, "swing", EVEN, [9], None)
    trained_job(database, settings, linear_bundle(DISCRETE), name="swing")
    with pytest.raises(InvalidInput, match="swing:4 has another action_space than swing:1"):
        set_traffic(database, "swing", EVEN, [4], None)
    with database.read() as session:
        assert traffic_of(session, "swing") is None


def test_a_version_in_use_is_not_deleted(database: Database) -> None:
    set_traffic(database, "swing", EVEN, [3], None)
    for version in (1, 3):
        with pytest.raises(Pinned, match=f"swing:{version} is in the traffic settings"):
            delete_policy(database, f"swing:{version}")
    set_traffic(database, "swing", EVEN[:1], [], 1)
    delete_policy(database, "swing:3")


def test_nor_with_its_job(database: Database, settings: Settings) -> None:
    job_id = trained_job(database, settings, name="swing")
    set_traffic(database, "swing", EVEN, [4], None)
    with pytest.raises(Pinned, match="swing:4"):
        delete_job(database, job_id, with_policies=True)
    set_traffic(database, "swing", EVEN, [], 1)
    delete_job(database, job_id, with_policies=True)
