"""Checkpoints from elsewhere: what becomes of them, and what is not taken."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mrq_core.session import Session
from store.database import Database
from store.garbage import damaged_checkpoints
from store.invariants import broken_invariants
from store.settings import Settings
from store.spec import JobSpec
from store.training_runs import training_run
from tests.app.driving import row_counts
from tests.app.importing import (
    SPEC,
    STEPS,
    Files,
    assert_nothing_remains,
    changed_state,
    files_of,
    post,
    weights,
)
from tests.buckets import Bucket
from tests.prices import csv_of, rows

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROLES = {
    "timestamp": "Date", "open": "Open", "high": "High", "low": "Low", "close": "Close",
    "volume": "Volume",
}  # fmt: skip
CSV_FACT = {"rows": 400, "roles": ROLES, "features": []}


def test_a_checkpoint_becomes_a_job_that_has_ended(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    answer = post(client, files)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["status"], job["status_reason"]) == ("succeeded", "imported")
    assert (job["progress"]["step"], job["attempt"], job["started_at"]) == (STEPS, 0, None)
    assert job["actions"] == ["extend"]
    assert job["spec"] == JobSpec.model_validate(SPEC).to_json()
    assert client.get(f"/jobs/{job['id']}/attempts").json()["data"] == []
    (row,) = client.get(f"/jobs/{job['id']}/checkpoints").json()["data"]
    assert (row["kind"], row["step"], row["attempt"]) == ("training", STEPS, 0)
    listed = client.get(row["links"]["files"]).json()["data"]
    assert {f["name"]: f["sha256"] for f in listed} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    for name, content in files.items():
        assert client.get(f"{row['links']['files']}/{name}").content == content
    kinds = [event["type"] for event in client.get(f"/jobs/{job['id']}/events").json()["data"]]
    assert kinds == ["status", "checkpoint", "status"]
    assert client.get(f"/ui/jobs/{job['id']}").status_code == 200
    assert broken_invariants(database, settings) == []
    assert list(damaged_checkpoints(database, settings)) == []
    assert [path.name for path in (settings.artifact_dir / job["id"]).iterdir()] == [f"0-{STEPS}"]


def test_it_goes_through_the_object_store_and_leaves_no_copy(
    make_client: Callable[[], TestClient], settings: Settings, bucket: Bucket, files: Files
) -> None:
    settings.artifacts_url = bucket.url
    client = make_client()
    job = post(client, files).json()
    (row,) = client.get(f"/jobs/{job['id']}/checkpoints").json()["data"]
    for name, content in files.items():
        assert client.get(f"{row['links']['files']}/{name}").content == content
    assert [path for path in settings.cache_dir.rglob("*") if path.is_file()] == []
    assert not settings.artifact_dir.exists()


def test_what_the_object_store_does_not_take_leaves_no_row(
    make_client: Callable[[], TestClient],
    database: Database,
    settings: Settings,
    bucket: Bucket,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.artifacts_url = bucket.url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = post(make_client(), files)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unreachable")
    assert set(row_counts(database).values()) == {0}
    assert [path for path in settings.cache_dir.rglob("*") if path.is_file()] == []


def test_weights_alone_are_taken_and_not_extended(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    job = post(client, weights(files)).json()
    assert (job["status"], job["actions"]) == ("succeeded", [])
    answer = client.post(f"/jobs/{job['id']}/extend", json={"total_steps": 10_000})
    assert (answer.status_code, answer.json()["code"]) == (409, "transition_refused")
    assert "weights alone" in answer.json()["detail"]
    assert client.post(f"/jobs/{job['id']}/retry").status_code == 409
    assert broken_invariants(database, settings) == []


def test_weights_made_elsewhere_need_say_little(client: TestClient, files: Files) -> None:
    state: dict[str, Any] = {"format_version": 2, "step": 0}
    state["agent"] = {"training_steps": 0, "reward_scale": 2.5, "target_reward_scale": 2.5}
    made = {**weights(files), "state.json": json.dumps(state).encode()}
    assert post(client, made).status_code == 201


def test_the_same_key_and_content_make_one_job(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    first = post(client, files, **{"Idempotency-Key": "k"})
    turned = dict(reversed(files.items()))  # and with another boundary
    again = post(client, turned, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = post(client, weights(files), **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert row_counts(database)["jobs"] == 1
    assert len(list(settings.artifact_dir.iterdir())) == 1


def test_an_extension_needs_more_than_was_done(client: TestClient, files: Files) -> None:
    """And no more than its spec asks for, of which nothing was done here."""
    spec = {**SPEC, "budget": {"total_steps": 400, "max_episodes": 1}}
    state = json.loads(files["state.json"])
    state["episode"]["index"] = 2
    job = post(client, changed_state(files, episode=state["episode"]), spec).json()

    def extend(**ends: Any) -> Any:
        return client.post(f"/jobs/{job['id']}/extend", json=ends)

    for ends, param in (
        ({"total_steps": STEPS}, "total_steps"),
        ({"total_steps": 400}, "max_episodes"),
        ({"max_episodes": 2}, "max_episodes"),
    ):
        answer = extend(**ends)
        assert (answer.status_code, answer.json()["param"]) == (422, param)
    assert extend(total_steps=400, max_episodes=3).status_code == 202
    assert client.get(f"/jobs/{job['id']}").json()["status_reason"] == "extended_by_user"


def test_a_target_that_was_reached_elsewhere_is_reached(client: TestClient, files: Files) -> None:
    spec = {**SPEC, "budget": {"total_steps": 400}, "early_stopping": {"target_return": -50.0}}
    job = post(client, changed_state(files, best_return=-40.0), spec).json()
    answer = client.post(f"/jobs/{job['id']}/extend", json={"total_steps": 400})
    assert (answer.status_code, answer.json()["param"]) == (422, "target_return")


def test_a_run_on_a_dataset_needs_that_dataset_here(
    client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    content = csv_of(rows(400))
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    fact = {"sha256": hashlib.sha256(content).hexdigest(), **CSV_FACT}
    environment = {"id": "mrq/Trading-v0", "dataset_id": "ds_elsewhere", "dataset": fact}
    spec = SPEC | {"environment": environment}
    session = Session(training_run(JobSpec.model_validate(spec), "cpu", str(path)))
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    session.save(checkpoint)
    refusal = post(client, files_of(checkpoint), spec)
    assert (refusal.status_code, refusal.json()["param"]) == (422, "environment.dataset_id")
    assert_nothing_remains(database, settings)
    sent = client.post("/datasets?name=walk", content=content, headers={"Content-Type": "text/csv"})
    assert sent.status_code == 201, sent.text
    spec["environment"] = environment | {"dataset_id": "walk"}
    answer = post(client, files_of(checkpoint), spec)
    assert answer.status_code == 201, answer.text
    assert client.get("/datasets/walk").json()["used_by"] == [answer.json()["id"]]


def test_the_checkpoint_of_a_baseline_is_not_taken(client: TestClient, files: Files) -> None:
    spec = {**SPEC, "algorithm": {"name": "sac"}}
    answer = post(client, files, spec)
    assert (answer.status_code, answer.json()["param"]) == (422, "spec")
    assert "only MR.Q's checkpoints are imported" in answer.json()["detail"]
