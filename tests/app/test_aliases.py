"""Aliases over HTTP: promotion and rollback, each in one request."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.routes import aliases as routes
from app.routes.aliases import MAX_ALIAS
from app.serving.meanings import GRACE_SECONDS, NAME_SECONDS
from store.aliases import Alias, move_alias
from store.database import Database
from store.settings import Settings
from tests.app.serving.swinging import OBSERVATION, act, broken, metric, trained, wait_until

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def ids(database: Database, settings: Settings) -> list[str]:
    return trained(database, settings)


def put(client: TestClient, version: Any, expected: Any, alias: str = "live") -> Any:
    body = {"version": version, "expected_version": expected}
    return client.put(f"/policies/swing/aliases/{alias}", json=body)


def test_the_next_action_is_the_new_versions(client: TestClient, ids: list[str]) -> None:
    made = put(client, 2, None)
    assert made.status_code == 200
    shown = made.json()
    assert shown.pop("moved_at") is not None
    assert shown == {"name": "swing", "alias": "live", "version": 2, "policy_id": ids[1]}
    assert act(client, "swing@live") == 2
    for version, expected in ((1, 2), (3, 1), (1, 3)):
        assert put(client, version, expected).json()["version"] == version
        assert act(client, "swing@live") == version
    assert act(client, "swing") == 3
    assert metric(client, "mrq_policy_swaps_total", 'policy="swing",result="ok"') == 3
    assert [a["version"] for a in client.get("/policies/swing/aliases").json()["data"]] == [1]
    history = client.get("/policies/swing/aliases/live/history").json()["data"]
    assert [(m["from_version"], m["to_version"]) for m in history] == [
        (3, 1),
        (1, 3),
        (2, 1),
        (None, 2),
    ]


def test_every_route_that_takes_a_reference_takes_it(client: TestClient, ids: list[str]) -> None:
    put(client, 1, None)
    assert client.get("/policies/swing@live").json()["id"] == ids[0]
    logged = {"observation": OBSERVATION, "log": True}
    action = client.post("/policies/swing@live/act", json=logged).json()["action_id"]
    told = client.post("/policies/swing@live/feedback", json={"action_id": action, "reward": 1})
    assert told.json() == {"results": ["joined"]}
    tensor = {"name": "observation", "datatype": "FP32", "shape": [1, 3], "data": OBSERVATION}
    answer = client.post("/v2/models/swing@live/infer", json={"inputs": [tensor]})
    assert answer.json()["model_version"] == "1"
    body = {"observation": OBSERVATION, "sequences": [[[0.0, 5.0]]]}
    refused = client.post("/policies/swing@live/imagine", json=body).json()
    assert refused["code"] == "return_unavailable"  # found, but it has no model


def test_a_move_that_expects_something_else_is_refused(client: TestClient) -> None:
    put(client, 1, None)
    for expected in (None, 2):
        refused = put(client, 3, expected)
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (409, "alias_moved")
        assert (problem["param"], problem["current_version"]) == ("expected_version", 1)
        assert act(client, "swing@live") == 1
    assert put(client, 3, 2, "new").json()["current_version"] is None
    gone = client.delete("/policies/swing/aliases/live?expected_version=2")
    assert (gone.status_code, gone.json()["code"]) == (409, "alias_moved")


def test_what_is_not_there(client: TestClient) -> None:
    for version, name, code in ((9, "swing", "policy_not_found"), (1, "no", "policy_not_found")):
        body = {"version": version, "expected_version": None}
        answer = client.put(f"/policies/{name}/aliases/live", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    for path, code in (
        ("swing@live", "policy_not_found"),
        ("no/aliases", "policy_not_found"),
        ("swing/aliases/live/history", "alias_not_found"),
    ):
        answer = client.get(f"/policies/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert client.get("/policies/swing/aliases").json()["data"] == []


@pytest.mark.parametrize(
    ("alias", "body", "param"),
    [
        ("live", {"version": 1}, "expected_version"),
        ("live", {"version": 0, "expected_version": None}, "version"),
        ("live", {"version": "1", "expected_version": None}, "version"),
        ("live", {"version": 1, "expected_version": None, "force": True}, "force"),
        ("li:ve", {"version": 1, "expected_version": None}, "alias"),
        ("l" * (MAX_ALIAS + 1), {"version": 1, "expected_version": None}, "alias"),
    ],
)
def test_a_bad_move_names_the_field(
    client: TestClient, alias: str, body: dict[str, Any], param: str
) -> None:
    answer = client.put(f"/policies/swing/aliases/{alias}", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["param"]) == (422, "invalid_input", param)


def test_a_version_that_fails_its_check_leaves_the_alias_where_it_was(
    client: TestClient, database: Database, settings: Settings
) -> None:
    put(client, 1, None)
    broken(database, settings)
    refused = put(client, 4, 1)
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_failed_golden_check")
    assert act(client, "swing@live") == 1
    assert len(client.get("/policies/swing/aliases/live/history").json()["data"]) == 1


def test_a_deleted_alias_acts_no_more_and_what_it_means_is_not_deleted(client: TestClient) -> None:
    put(client, 2, None)
    assert act(client, "swing@live") == 2
    refused = client.delete("/policies/swing:2")
    assert (refused.status_code, refused.json()["code"]) == (409, "pinned")
    assert refused.json()["aliases"] == ["swing@live"]
    assert client.delete("/policies/swing/aliases/live?expected_version=2").status_code == 204
    answer = client.post("/policies/swing@live/act", json={"observation": OBSERVATION})
    assert (answer.status_code, answer.json()["code"]) == (404, "policy_not_found")
    assert client.delete("/policies/swing:2").status_code == 204
    history = client.get("/policies/swing/aliases/live/history").json()["data"]
    assert [m["to_version"] for m in history] == [None, 2]


def test_another_server_follows_within_a_second(make_client: Callable[[], TestClient]) -> None:
    here, there = make_client(), make_client()
    put(here, 1, None)
    assert act(there, "swing@live") == 1
    put(here, 2, 1)
    wait_until(lambda: act(there, "swing@live") == 2)
    assert NAME_SECONDS + GRACE_SECONDS < 1


def test_moves_that_come_together_are_followed_in_the_order_of_their_commits(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's commit is done, and its thread is slow to say so."""
    put(client, 1, None)
    committed, slow = threading.Event(), threading.Event()

    def slowly(database: Database, name: str, alias: str, version: int, expected: int) -> Alias:
        moved = move_alias(database, name, alias, version, expected)
        if version == 2:
            committed.set()
            slow.wait(0.3)  # for as long as the second one would need, if it did not wait
        return moved

    monkeypatch.setattr(routes, "move_alias", slowly)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(put, client, 2, 1)
        assert committed.wait(20)
        second = pool.submit(put, client, 3, 2)
        assert [each.result().status_code for each in (first, second)] == [200, 200]
    assert act(client, "swing@live") == 3
