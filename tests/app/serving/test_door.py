"""The short way of an act request and the long one give the same."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.driving import BEARER, trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BODY = {"observation": [1, 0.0, 0.0]}


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


@pytest.fixture
def behind_a_prefix(app: FastAPI, client: TestClient) -> TestClient:
    """A proxy's prefix is for the router to take away."""
    root: Any = {"root_path": "/mrq"}
    return TestClient(app, headers=BEARER, raise_server_exceptions=False, **root)


CHANGING = {"x-request-id", "server-timing", "content-length"}


def parts(answer: Any) -> Any:
    headers = {k: v for k, v in answer.headers.items() if k not in CHANGING}
    body = {k: v for k, v in answer.json().items() if k not in ("request_id", "timing")}
    return answer.status_code, headers, body


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/policies/swing/act", {"json": BODY}),
        ("/policies/swing:1/act", {"json": BODY | {"deadline_ms": 9000.5}}),
        ("/v1/policies/swing/act", {"json": {"observations": [[0, 0, 0]] * 3}}),
        ("/policies/swing/act", {"json": {"observation": [1]}}),
        ("/policies/none/act", {"json": BODY}),
        ("/policies/swing/act", {"content": b"{", "headers": {"Content-Type": "text/plain"}}),
        ("/policies/swing/act", {"json": BODY, "headers": {"Authorization": "Bearer wrong"}}),
        ("/policies/swing/act", {"json": {"observation": [0] * (5 << 20)}}),
    ],
)
def test_both_ways_answer_alike(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, app: FastAPI, path: str, options: Any
) -> None:
    short = client.post(path, **options)
    monkeypatch.setitem(app.__dict__, "_is_observed", True)
    assert parts(client.post(path, **options)) == parts(short)
    assert short.json()["request_id"] == short.headers["x-request-id"]


def test_a_prefix_is_the_routers_matter(behind_a_prefix: TestClient) -> None:
    assert behind_a_prefix.post("/mrq/policies/swing/act", json=BODY).status_code == 200


@pytest.mark.parametrize(
    "path", ["/policies/a/b/act", "/policies//act", "/policies/swing/act/", "/v3/policies/x/act"]
)
def test_what_only_looks_like_it_is_no_route(client: TestClient, path: str) -> None:
    answer = client.post(path, json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")


def test_of_two_headers_of_one_name_the_first_counts(client: TestClient) -> None:
    wrong = [("Authorization", "Bearer wrong"), ("Authorization", BEARER["Authorization"])]
    for headers, status in ((wrong, 401), (wrong[::-1], 200)):
        client.headers.pop("Authorization", None)
        answer = client.post("/policies/swing/act", json=BODY, headers=headers)
        assert answer.status_code == status
