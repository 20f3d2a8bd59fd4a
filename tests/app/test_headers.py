"""Every answer carries its id and the headers that keep a browser safe."""

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


def test_on_every_kind_of_answer(client: TestClient, stranger: TestClient) -> None:
    answers = [
        client.get("/jobs"),
        client.get("/nothing"),
        client.post("/jobs", content=b"{"),
        client.post("/policies/x/act", json={}),
        client.get("/ui/jobs"),
        stranger.get("/jobs"),
        stranger.get("/healthz"),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cache-control"]
    identities = {answer.headers["x-request-id"] for answer in answers}
    assert len(identities) == len(answers)
    assert "access-control-allow-origin" not in client.get("/jobs").headers
