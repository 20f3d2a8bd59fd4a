"""An import on both databases, from its row to its extension."""

from starlette.testclient import TestClient

from store.database import Database
from store.invariants import broken_invariants
from store.settings import Settings
from tests.app.importing import STEPS, Files, post, weights


def test_an_imported_job_is_a_job(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    first = post(client, files, **{"Idempotency-Key": "k"})
    assert first.status_code == 201, first.text
    job_id = first.json()["id"]
    assert post(client, files, **{"Idempotency-Key": "k"}).json()["id"] == job_id
    assert post(client, weights(files)).json()["actions"] == []
    listed = client.get("/jobs", params={"status": "succeeded"}).json()["data"]
    assert [job["status_reason"] for job in listed] == ["imported", "imported"]
    extended = client.post(f"/jobs/{job_id}/extend", json={"total_steps": STEPS + 1})
    assert (extended.status_code, extended.json()["status"]) == (202, "queued")
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/jobs/{job_id}/retry").json()["status"] == "queued"
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert client.delete(f"/jobs/{job_id}").status_code == 200
    assert broken_invariants(database, settings) == []
