"""`init_from` over HTTP: resolved, refused, pinned, and told on the job's page."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.endings import hand_back
from store.ownership import Claim
from store.settings import Settings
from store.states import Reason
from tests.app.driving import spec
from tests.store.acting import checkpoint, running, save

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def source(database: Database, settings: Settings) -> Claim:
    claimed = running(database, settings, name="teacher")
    save(database, claimed, 100)
    return claimed


def test_a_dry_run_says_what_it_would_begin_with(
    client: TestClient, database: Database, source: Claim
) -> None:
    asked = spec(init_from={"job_id": source.job_id})
    answer = client.post("/jobs?dry_run=true", json=asked)
    assert answer.status_code == 200
    found = checkpoint(database, source, 100)
    resolved = {
        "checkpoint_id": found.id,
        "job_id": source.job_id,
        "load": "weights",
        "sha256": found.sha256,
    }
    assert answer.json()["spec"]["init_from"] == resolved
    made = client.post("/jobs", json=asked)
    assert made.status_code == 201
    assert made.json()["spec"] == answer.json()["spec"]
    again = client.post("/jobs", json=made.json()["spec"])
    assert again.json()["spec"] == made.json()["spec"]


@pytest.mark.parametrize("dry_run", ["true", "false"])
@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        (
            {"init_from": {"checkpoint_id": "ckpt_none"}},
            404,
            "checkpoint_not_found",
            "init_from.checkpoint_id",
        ),
        ({"init_from": {"job_id": "job_none"}}, 404, "job_not_found", "init_from.job_id"),
        ({"init_from": {}}, 422, "invalid_input", "init_from.checkpoint_id"),
        ({"init_from": {"surprise": 1}}, 422, "invalid_input", "init_from.surprise"),
    ],
)
def test_what_is_not_there_is_refused(
    client: TestClient,
    changes: dict[str, Any],
    status: int,
    code: str,
    param: str,
    dry_run: str,
) -> None:
    answer = client.post(f"/jobs?dry_run={dry_run}", json=spec(**changes))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["param"]) == (status, code, param)
    assert client.get("/jobs").json()["data"] == []


def test_what_does_not_fit_is_refused_everywhere(client: TestClient, source: Claim) -> None:
    begins = {"init_from": {"job_id": source.job_id}}
    other = {"environment": {"id": "CartPole-v1"}}
    plain = client.post("/jobs", json=spec()).json()["id"]
    for path, body in (
        ("/jobs", spec(**begins, **other)),
        ("/jobs", spec(**begins, **other, seeds=[1, 2])),
        (f"/jobs/{plain}/clone", begins | other),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["param"]) == (422, "environment.id"), path
        assert "vector [4] here and vector [3] there" in answer.json()["detail"]
    assert len(client.get("/jobs").json()["data"]) == 2


def test_a_source_is_not_deleted_while_a_job_waits_for_it(
    client: TestClient, database: Database, settings: Settings, source: Claim
) -> None:
    child = client.post("/jobs", json=spec(init_from={"job_id": source.job_id})).json()["id"]
    client.post(f"/jobs/{source.job_id}/cancel", json={"grace_seconds": 0})
    hand_back(database, source, Reason.DRAINED)
    refused = client.delete(f"/jobs/{source.job_id}")
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["jobs"]) == (409, "pinned", [child])
    assert child in problem["detail"]
    client.post(f"/jobs/{child}/cancel")
    assert client.delete(f"/jobs/{source.job_id}").status_code == 200
    retried = client.post(f"/jobs/{child}/retry")
    assert retried.status_code == 202, "deleted, and still there for a while"
