"""Which versions act for a bare name, and the shadows beside them."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.serving.live import MAX_SHADOWED_ROWS, LivePolicy
from mrq_core.spaces import Floats
from store.database import Database
from store.settings import Settings
from tests.app.bundles import DISCRETE, linear_bundle
from tests.app.driving import trained_job
from tests.app.serving.swinging import OBSERVATION, act, broken, metric, trained, wait_until

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def ids(database: Database, settings: Settings) -> list[str]:
    return trained(database, settings)


def put(
    client: TestClient, shares: dict[int, float], shadow: Any = (), revision: Any = None
) -> Any:
    routes = [{"version": version, "weight": weight} for version, weight in shares.items()]
    body = {"routes": routes, "shadow": list(shadow), "expected_revision": revision}
    return client.put("/policies/swing/traffic", json=body)


def test_the_bare_name_is_divided_by_weight(
    client: TestClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert act(client) == 3
    made = put(client, {1: 1, 2: 3})
    assert made.status_code == 200
    shown = made.json()
    assert shown == client.get("/policies/swing/traffic").json()
    assert shown.pop("updated_at") is not None
    routes = [{"version": 1, "weight": 1}, {"version": 2, "weight": 3}]
    assert shown == {"name": "swing", "revision": 1, "routes": routes, "shadow": []}
    for drawn, version in ((0.0, 1), (0.2499, 1), (0.25, 2), (0.9999, 2)):
        monkeypatch.setattr(random, "random", lambda drawn=drawn: drawn)
        assert act(client) == version
    # Nothing else is divided.
    for reference in ("swing:3", ids[2]):
        assert act(client, reference) == 3
    assert client.get("/policies/swing").json()["version"] == 3


def test_chance_decides_for_each_request(client: TestClient) -> None:
    put(client, {1: 0.5, 2: 0.5})
    assert {act(client) for _ in range(64)} == {1, 2}


def test_settings_change_with_the_next_action_and_a_promotion_changes_nothing(
    client: TestClient, database: Database, settings: Settings
) -> None:
    put(client, {1: 1})
    assert act(client) == 1
    assert put(client, {2: 1}, (), 1).json()["revision"] == 2
    assert act(client) == 2
    policy = client.get("/policies/swing:1").json()
    client.post("/policies", json={"checkpoint_id": policy["checkpoint_id"], "name": "swing"})
    assert client.get("/policies/swing").json()["version"] == 4
    assert act(client) == 2
    assert client.delete("/policies/swing/traffic?expected_revision=2").status_code == 204
    body = {"observation": OBSERVATION}
    assert client.post("/policies/swing/act", json=body).json()["version"] == 4


def test_an_episode_stays_with_one_version(client: TestClient) -> None:
    put(client, {1: 0.5, 2: 0.5})
    of_episode = {
        episode: {act(client, log=True, episode=f"e{episode}", t=t) for t in range(3)}
        for episode in range(12)
    }
    assert all(len(versions) == 1 for versions in of_episode.values())
    assert set.union(*of_episode.values()) == {1, 2}
    put(client, {1: 0.5, 3: 0.5}, (), 1)
    again = {e: act(client, log=True, episode=f"e{e}", t=9) for e in range(12)}
    assert again == {e: 1 if versions == {1} else 3 for e, versions in of_episode.items()}


def test_an_episode_of_a_client_that_holds_its_state_does_too(client: TestClient) -> None:
    put(client, {1: 0.5, 2: 0.5})
    for episode in range(6):
        options: dict[str, Any] = {"log": True, "episode": f"e{episode}", "state": None}
        assert len({act(client, t=t, **options) for t in range(3)}) == 1


def test_failures_are_those_of_the_version_that_was_asked(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, {1: 1, 2: 1})
    act(client)
    drawn = iter([0.9, 0.1, 0.1])
    monkeypatch.setattr(random, "random", lambda: next(drawn))
    client.post("/policies/swing/act", json={"observation": [1.0], "mode": "sample"})
    assert metric(client, "mrq_act_requests_total", 'policy="swing",version="2",code="422"') == 1
    assert metric(client, "mrq_act_requests_total", 'policy="swing",version="1",code="422"') == 0


def test_the_protocol_of_others_follows_it_too(client: TestClient) -> None:
    put(client, {1: 1}, [2])
    tensor = {"name": "observation", "datatype": "FP32", "shape": [1, 3], "data": OBSERVATION}
    answer = client.post("/v2/models/swing/infer", json={"inputs": [tensor]})
    assert answer.json()["model_version"] == "1"
    labels = 'policy="swing",version="1",shadow="2"'
    wait_until(lambda: metric(client, "mrq_shadow_requests_total", labels) == 1)


def test_another_server_follows(make_client: Callable[[], TestClient]) -> None:
    here, there = make_client(), make_client()
    assert act(there) == 3
    put(here, {1: 1})
    wait_until(lambda: act(there) == 1)
    here.delete("/policies/swing/traffic?expected_revision=1")
    wait_until(lambda: act(there) == 3)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"routes": [{"version": 1, "weight": 1}]}, "expected_revision"),
        ({"routes": [], "expected_revision": None}, "routes"),
        ({"routes": [{"version": 1, "weight": 0}], "expected_revision": None}, "routes.0.weight"),
        ({"routes": [{"version": 1, "weight": 1}] * 2, "expected_revision": None}, "routes.1"),
        ({"routes": [{"version": 1, "weight": 1}] * 9, "expected_revision": None}, "routes"),
        (
            {"routes": [{"version": 1, "weight": 1}], "shadow": [1], "expected_revision": None},
            "shadow.0",
        ),
        (
            {
                "routes": [{"version": 1, "weight": 1}],
                "shadow": [2, 3, 4],
                "expected_revision": None,
            },
            "shadow",
        ),
    ],
)
def test_bad_settings_name_the_field(client: TestClient, body: dict[str, Any], param: str) -> None:
    answer = client.put("/policies/swing/traffic", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert problem["param"].startswith(param)
    assert client.get("/policies/swing/traffic").json()["code"] == "traffic_not_found"


def test_what_is_refused_changes_nothing(
    client: TestClient, database: Database, settings: Settings
) -> None:
    put(client, {1: 1})
    moved = put(client, {2: 1})
    assert (moved.status_code, moved.json()["code"]) == (409, "traffic_moved")
    assert moved.json()["current_revision"] == 1
    assert put(client, {9: 1}, (), 1).json()["code"] == "policy_not_found"
    broken(database, settings)
    assert put(client, {1: 1}, [4], 1).json()["code"] == "policy_failed_golden_check"
    trained_job(database, settings, linear_bundle(DISCRETE), name="swing")
    assert put(client, {1: 1, 5: 1}, (), 1).json()["code"] == "invalid_input"
    refused = client.delete("/policies/swing:1")
    assert (refused.status_code, refused.json()["code"]) == (409, "pinned")
    assert act(client) == 1


def test_shadows_are_compared(client: TestClient) -> None:
    """The second version does the opposite, the third one nearly the same."""
    put(client, {1: 1}, [2, 3])
    for body in ({}, {"mode": "sample"}, {"action_mask": None}):
        assert act(client, **body) == 1
    client.post("/policies/swing/act", json={"observation": [1.0]})  # which nobody answers
    act(client, "swing:1")  # which is not the bare name
    at = {shadow: f'policy="swing",version="1",shadow="{shadow}"' for shadow in (2, 3)}
    requests = "mrq_shadow_requests_total"
    wait_until(lambda: {metric(client, requests, labels) for labels in at.values()} == {3})
    assert metric(client, "mrq_shadow_disagreement_total", at[2]) == 3
    assert metric(client, "mrq_shadow_disagreement_total", at[3]) == 0
    # Of three requests the larger of two numbers: 2 tanh(u) for the opposite, u = (0.625, -0.5).
    difference = metric(client, "mrq_shadow_difference_total", at[2])
    assert difference == pytest.approx(3 * 2 * 0.5546, rel=1e-3)
    assert 0 < metric(client, "mrq_shadow_difference_total", at[3]) < 3 * 0.05
    counted = 'policy="swing",version="2",code="200"'
    assert metric(client, "mrq_act_requests_total", counted) == 0


class Blocked:
    def __init__(self, policy: LivePolicy) -> None:
        self.forward, self.release = policy.actor.forward, threading.Event()

    def __call__(self, rows: Floats) -> Floats:
        assert self.release.wait(20)
        return self.forward(rows)


@pytest.fixture
def blocked(app: FastAPI, client: TestClient, ids: list[str]) -> Iterator[Blocked]:
    """swing:2, the shadow, does not come to an end."""
    put(client, {1: 1}, [2])
    policy = app.state.policies._loaded[ids[1]]
    blocked = Blocked(policy)
    policy.shadowed._forward = blocked
    yield blocked
    blocked.release.set()


def test_a_shadow_delays_no_answer_and_its_queue_is_bounded(
    client: TestClient, blocked: Blocked
) -> None:
    body = {"observations": [OBSERVATION] * 256}
    labels = 'policy="swing",version="1",shadow="2"'
    fit = 2 + MAX_SHADOWED_ROWS // 256  # two have been taken out of the queue
    for _ in range(fit + 3):
        assert client.post("/policies/swing/act", json=body).status_code == 200
    dropped = f'{labels},reason="full"'
    assert metric(client, "mrq_shadow_dropped_total", dropped) == 3
    assert metric(client, "mrq_shadow_requests_total", labels) == 0
    blocked.release.set()
    wait_until(lambda: metric(client, "mrq_shadow_requests_total", labels) == fit)


@pytest.mark.parametrize("fault", ["raises", "not finite", "another form", "unloaded"])
def test_a_shadows_fault_reaches_nobody(
    app: FastAPI, client: TestClient, ids: list[str], fault: str
) -> None:
    put(client, {1: 1}, [2])
    policies = app.state.policies
    shadow = policies._loaded[ids[1]]

    def forward(rows: Floats) -> Floats:
        if fault == "raises":
            raise RuntimeError(fault)
        outputs: Floats = shadow.actor.forward(rows)
        return outputs * float("nan") if fault == "not finite" else outputs[:, :1]

    shadow.shadowed._forward = forward
    if fault == "unloaded":
        del policies._loaded[ids[1]]
    assert act(client) == 1
    labels = 'policy="swing",version="1",shadow="2"'
    dropped = f'{labels},reason="{"unloaded" if fault == "unloaded" else "failed"}"'
    wait_until(lambda: metric(client, "mrq_shadow_dropped_total", dropped) == 1)
    assert metric(client, "mrq_shadow_requests_total", labels) == 0
    if fault == "unloaded":  # it is loaded for the next ones
        wait_until(lambda: ids[1] in policies._loaded)
