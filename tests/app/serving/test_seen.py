"""An observation that is unlike those of the training is answered with a warning."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.serving.passes import Forwarded, Pass
from app.serving.seen import MAX_TOLD, SeenRange
from store.database import Database
from store.settings import Settings
from tests.app.bundles import linear_bundle
from tests.app.driving import trained_job

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SEEN = {"low": [-1.0, 0.0, 0.5], "high": [1.0, 0.0, 2.0]}
INSIDE = [[-1.0, 0.0, 2.0], [1.0, 0.0, 0.5]]
TOLD = (
    " is outside of what was seen in training, by dimension: "
    "0 is -1.5, seen -1 to 1; 1 is 0.25, seen 0 to 0"
)


@pytest.fixture
def act(client: TestClient, database: Database, settings: Settings) -> Any:
    trained_job(database, settings, name="swing", bundle=linear_bundle(seen=SEEN))

    def act(body: Any, **headers: str) -> Any:
        sent = {"content": body, "headers": headers} if isinstance(body, bytes) else {"json": body}
        answer = client.post("/policies/swing/act", **sent)
        assert answer.status_code == 200
        return answer

    return act


@on_sqlite
def test_the_ends_are_inside(act: Any) -> None:
    assert "warnings" not in act({"observations": INSIDE}).json()


@on_sqlite
def test_what_is_outside_is_told(act: Any) -> None:
    outside = [-1.5, 0.25, 1.0]
    assert act({"observation": outside}).json()["warnings"] == ["observation" + TOLD]
    found = act({"observations": [*INSIDE, outside]}).json()
    assert found["warnings"] == ["observations[2]" + TOLD]


@on_sqlite
def test_bytes_have_their_number(act: Any) -> None:
    rows = np.array([*INSIDE, [0, 0, 9], [0, 1, 9]], "<f4")
    octets = {"Content-Type": "application/octet-stream"}
    answer = act(rows.tobytes(), **octets, **{"X-Shape": "4,3"})
    assert (answer.headers["x-warnings"], answer.headers["x-shape"]) == ("2", "4,2")
    answer = act(rows[:2].tobytes(), **octets, **{"X-Shape": "2,3", "Accept": "application/x-npy"})
    assert "x-warnings" not in answer.headers


@on_sqlite
def test_they_are_counted(act: Any, client: TestClient) -> None:
    act({"observations": [*INSIDE, [-2, 0, 1]]})
    act({"observation": [0, 0, 9], "mode": "sample"})
    name = 'mrq_act_outside_observations_total{policy="swing",version="1"} 2'
    assert name in client.get("/metrics").text.splitlines()


@on_sqlite
def test_who_does_not_know_does_not_warn(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="swing")
    answer = client.post("/policies/swing/act", json={"observation": [1e6, 1e6, 1e6]})
    assert "warnings" not in answer.json()


def test_many_dimensions_are_cut_short() -> None:
    width = MAX_TOLD + 3
    seen = SeenRange(np.zeros(width, np.float32), np.zeros(width, np.float32))
    rows = np.ones((1, width), np.float32)
    outside = seen.outside(rows)
    assert outside is not None
    (told,) = seen.warnings(rows, outside, is_batch=False)
    assert told.count("seen 0 to 0") == MAX_TOLD
    assert told.endswith("; and 3 more")


def test_many_observations_are_cut_short() -> None:
    seen = SeenRange(np.zeros(1, np.float32), np.ones(1, np.float32))
    rows = np.full((MAX_TOLD + 5, 1), 2, np.float32)
    rows[:2] = 0.5
    outside = seen.outside(rows)
    assert outside is not None
    told = seen.warnings(rows, outside, is_batch=True)
    assert told[0].startswith("observations[2] ")
    assert (len(told), told[-1]) == (MAX_TOLD + 1, "and 3 observations more")


def test_each_request_of_a_pass_hears_of_its_own() -> None:
    seen = SeenRange(np.zeros(1, np.float32), np.ones(1, np.float32))
    rows = np.array([[0.5], [2.0]], np.float32)
    shared = Pass.of(lambda rows: rows, rows)
    assert shared.look(seen) == 1
    first, second = (Forwarded(shared, index, index + 1, 0) for index in (0, 1))
    assert first.outside is None
    assert second.outside is not None
    assert second.outside.tolist() == [[True]]
