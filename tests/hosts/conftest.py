"""One service on hosts of its own for all of these tests."""

import os
from collections.abc import Iterator

import pytest

from store.invariants import broken_invariants
from tests.hosts.cluster import Cluster, cluster
from tests.hosts.network import why_not


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    obstacle = why_not()
    if obstacle is not None:
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        # No namespaces without root and Linux; what they prove holds for the same code elsewhere.
        pytest.skip(obstacle)
    with cluster(tmp_path_factory.mktemp("hosts")) as made:
        yield made
        made.require_health()


@pytest.fixture(autouse=True)
def _as_before(hosts: Cluster) -> Iterator[None]:
    yield
    hosts.heal()
    assert broken_invariants(hosts.database, hosts.settings) == []
