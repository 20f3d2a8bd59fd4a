"""Deleting and restoring over HTTP."""

from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.driving import submit, trained_job

OBSERVATION = {"observation": [0.0, 0.0, 0.0]}


def test_an_ended_job_is_deleted_and_restored(client: TestClient, database: Database) -> None:
    job_id = submit(database)
    refused = client.delete(f"/jobs/{job_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "transition_refused")
    client.post(f"/jobs/{job_id}/cancel")
    deleted = client.delete(f"/jobs/{job_id}")
    assert deleted.status_code == 200
    assert deleted.json()["deleted_at"] is not None
    assert client.get(f"/jobs/{job_id}").status_code == 404
    assert client.get("/jobs").json()["data"] == []
    assert client.delete(f"/jobs/{job_id}").status_code == 404
    restored = client.post(f"/jobs/{job_id}/restore").json()
    assert (restored["status"], restored["deleted_at"]) == ("cancelled", None)
    assert client.get(f"/jobs/{job_id}").json() == restored
    assert client.post(f"/jobs/{job_id}/restore").status_code == 404


def test_a_job_that_is_served_is_deleted_with_its_policies_or_not_at_all(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings, name="pen")
    refused = client.delete(f"/jobs/{job_id}")
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["policies"]) == (409, "pinned", ["pen:1"])
    assert client.get("/policies/pen").status_code == 200
    assert client.delete(f"/jobs/{job_id}?with_policies=true").status_code == 200
    assert client.get("/policies/pen").status_code == 404


def test_a_deleted_policy_acts_no_more(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="pen")
    trained_job(database, settings, name="pen")
    policy = client.get("/policies/pen").json()
    references = ("pen", "pen:2", policy["id"])
    for reference in references:
        answer = client.post(f"/policies/{reference}/act", json=OBSERVATION)
        assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert client.delete("/policies/pen").status_code == 204
    for reference in references[1:]:
        answer = client.post(f"/policies/{reference}/act", json=OBSERVATION)
        assert (answer.status_code, answer.json()["code"]) == (404, "policy_not_found")
    assert client.post("/policies/pen/act", json=OBSERVATION).json()["version"] == 1
    assert client.delete("/policies/pen:2").status_code == 404


def test_a_batch_deletes_what_has_ended(client: TestClient, database: Database) -> None:
    ended, waiting = submit(database), submit(database)
    client.post(f"/jobs/{ended}/cancel")
    found = client.post("/jobs/batch", json={"action": "delete", "ids": [ended, waiting]}).json()
    assert [each["outcome"] for each in found["data"]] == ["done", "refused"]
    assert [job["id"] for job in client.get("/jobs").json()["data"]] == [waiting]
