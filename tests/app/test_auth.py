"""Nobody gets in without the key or a session, on any route."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from itsdangerous import TimestampSigner
from starlette.testclient import TestClient

from app.auth import OPEN_FOLDER, OPEN_PATHS, is_open, session_cookie_name
from store.database import Database
from store.keys import SESSION_SECONDS, login_link, make_session
from tests.app.driving import BEARER, KEY, row_counts, spec, submit

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BASE = "http://testserver"


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    for route in iter_route_contexts(app.routes):
        path = re.sub(r"\{[^}]*\}", "x", route.path or "")
        for method in (route.methods or set()) - {"HEAD"}:
            yield method, path


def test_the_walk_sees_every_kind_of_route(app: FastAPI) -> None:
    found = set(routes(app))
    assert ("POST", "/policies/x/act") in found
    assert ("POST", "/jobs/x/cancel") in found
    assert ("GET", "/openapi.json") in found
    assert ("GET", "/ui/jobs/x") in found
    assert ("GET", "/static/x/x") in found
    assert len(found) > 25
    assert {"/healthz", "/ui/login"} == OPEN_PATHS
    assert OPEN_FOLDER == "/static/"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong-key-0123456789"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer \u00e9"},
        {"Authorization": "Bearer"},
        {"X-API-Key": KEY},
        {"Cookie": f"mrq_session={KEY}"},
    ],
)
def test_every_route_needs_the_key(
    app: FastAPI, stranger: TestClient, headers: dict[str, str]
) -> None:
    raw: Any = {name: value.encode("latin-1") for name, value in headers.items()}
    for method, path in routes(app):
        if not is_open(path):
            for prefix in ("", "/v1"):
                answer = stranger.request(method, prefix + path, headers=raw)
                assert answer.status_code == 401, (method, prefix + path)
                assert answer.headers["www-authenticate"].startswith("Bearer")


def test_with_the_key_no_route_says_401(app: FastAPI, client: TestClient) -> None:
    for method, path in routes(app):
        if path != "/ui/login":
            assert client.request(method, path).status_code not in (401, 403), (method, path)


def test_missing_and_wrong_key_look_the_same(stranger: TestClient) -> None:
    missing = stranger.get("/jobs").json()
    wrong = stranger.get("/jobs", headers={"Authorization": "Bearer wrong"}).json()
    for problem in (missing, wrong):
        problem.pop("request_id")
    assert missing == wrong


@pytest.mark.parametrize("query", [f"key={KEY}", f"token={KEY}", f"access_token={KEY}"])
def test_the_key_in_a_url_opens_nothing(stranger: TestClient, query: str) -> None:
    assert stranger.get(f"/jobs?{query}").status_code == 401
    assert stranger.get(f"/ui/login?{query}").status_code == 401


def test_the_open_routes_are_open(stranger: TestClient) -> None:
    assert stranger.get("/healthz").json() == {"status": "ok"}
    assert stranger.get("/v1/healthz").json() == {"status": "ok"}


def test_without_the_key_nothing_is_changed(stranger: TestClient, database: Database) -> None:
    assert stranger.post("/jobs", json=spec()).status_code == 401
    assert set(row_counts(database).values()) == {0}


def test_a_login_link_becomes_a_session(stranger: TestClient) -> None:
    link = login_link(BASE, KEY)
    assert KEY not in link
    answer = stranger.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert f"Max-Age={SESSION_SECONDS}" in cookie
    assert "Secure" not in cookie
    assert KEY not in cookie
    assert stranger.get("/jobs").status_code == 200  # the client sends the cookie now


def test_under_https_the_cookie_is_secure(app: FastAPI, client: TestClient) -> None:
    browser = TestClient(app, base_url="https://testserver", follow_redirects=False)
    answer = browser.get(login_link("https://testserver", KEY))
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "token",
    ["", "x", make_session(KEY), login_link("", "another-key-01234567").split("=", 1)[1]],
    ids=["empty", "garbage", "a session", "of another key"],  # the tokens tell the time
)
def test_a_forged_login_token(stranger: TestClient, token: str) -> None:
    answer = stranger.get("/ui/login", params={"token": token})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_login_token_is_no_session(app: FastAPI, stranger: TestClient) -> None:
    token = login_link("", KEY).split("=", 1)[1]
    cookies = {"Cookie": f"{session_cookie_name(KEY)}={token}"}
    assert stranger.get("/jobs", headers=cookies).status_code == 401


def test_links_and_sessions_end(stranger: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = TimestampSigner("x").get_timestamp()
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: now - 15 * 60 - 1)
    link = login_link(BASE, KEY)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: now - SESSION_SECONDS - 1)
    session = make_session(KEY)
    monkeypatch.undo()
    assert stranger.get(link).status_code == 401
    cookies = {"Cookie": f"{session_cookie_name(KEY)}={session}"}
    assert stranger.get("/jobs", headers=cookies).status_code == 401


def browser_headers(**headers: str) -> dict[str, str]:
    cookie = f"{session_cookie_name(KEY)}={make_session(KEY)}"
    return {"Cookie": cookie} | {name.replace("_", "-"): text for name, text in headers.items()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Sec_Fetch_Site": "cross-site", "Origin": BASE},
    ],
)
def test_a_session_cannot_be_used_from_another_site(
    stranger: TestClient, database: Database, headers: dict[str, str]
) -> None:
    job_id = submit(database)
    answer = stranger.post(f"/jobs/{job_id}/cancel", headers=browser_headers(**headers))
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    assert stranger.get(f"/jobs/{job_id}", headers=BEARER).json()["status"] == "queued"


@pytest.mark.parametrize("headers", [{"Sec_Fetch_Site": "same-origin"}, {"Origin": BASE}])
def test_a_session_works_from_our_own_pages(
    stranger: TestClient, database: Database, headers: dict[str, str]
) -> None:
    job_id = submit(database)
    answer = stranger.post(f"/jobs/{job_id}/cancel", headers=browser_headers(**headers))
    assert answer.status_code == 200


def test_a_wrong_key_is_not_made_good_by_a_session(stranger: TestClient) -> None:
    headers = browser_headers() | {"Authorization": "Bearer wrong"}
    assert stranger.get("/jobs", headers=headers).status_code == 401


def test_a_page_without_a_session_says_how_to_get_one(stranger: TestClient) -> None:
    answer = stranger.get("/ui/jobs", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert "mrq login-link" in answer.text


def test_logout_ends_the_session(stranger: TestClient) -> None:
    stranger.get(login_link(BASE, KEY))
    stranger.post("/ui/logout", headers={"Origin": BASE})
    assert stranger.get("/jobs").status_code == 401
