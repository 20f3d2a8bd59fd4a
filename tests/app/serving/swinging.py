"""Versions of one policy that act differently, and what is seen of them in `/metrics`."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from store.database import Database
from store.policies import find_policy
from store.settings import Settings
from tests.app.bundles import WEIGHTS, Floats, linear_bundle
from tests.app.driving import trained_job
from tests.app.serving.test_measures import samples

OBSERVATION = [1.0, 0.5, 0.25]
CENTRE, HALF = np.array([0.0, 5.0]), np.array([2.0, 5.0])
# Of the versions 1, 2 and 3. The last one's actions are as the first one's, but for 1 %.
OF_VERSIONS: Sequence[Floats] = (WEIGHTS, -WEIGHTS, WEIGHTS * np.float32(1.01))


def trained(database: Database, settings: Settings, versions: int = 3) -> list[str]:
    """swing:1 to swing:3, of a job each; their ids."""
    for weights in OF_VERSIONS[:versions]:
        trained_job(database, settings, linear_bundle(weights=weights), name="swing")
    with database.read() as session:
        return [find_policy(session, f"swing:{v}").id for v in range(1, versions + 1)]


def broken(database: Database, settings: Settings) -> None:
    """The next version of swing, which no server acts by."""
    trained_job(database, settings, linear_bundle(format_version=99), name="swing")


def action_of(version: int) -> Any:
    return CENTRE + HALF * np.tanh(np.array(OBSERVATION) @ OF_VERSIONS[version - 1])


def act(client: TestClient, reference: str = "swing", **body: Any) -> Any:
    """The version whose action it is, by what it says and by what it does."""
    answer = client.post(f"/policies/{reference}/act", json={"observation": OBSERVATION} | body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    if body.get("mode") != "sample":
        assert np.abs(np.array(told["action"]) - action_of(told["version"])).max() <= 1e-4
    return told["version"]


def metric(client: TestClient, name: str, labels: str) -> float:
    return samples(client.get("/metrics").text).get((name, labels), 0)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
