"""Cancelling, pausing, resuming, retrying, extending and cloning over HTTP."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.endings import give_up_attempt
from store.settings import Settings
from store.states import Reason
from tests.app.driving import claim, row_counts, spec, submit, trained_job

ACTIONS = ("cancel", "pause", "resume", "retry")


def _post(client: TestClient, job_id: str, action: str, **sent: Any) -> tuple[int, Any]:
    answer = client.post(f"/jobs/{job_id}/{action}", **sent)
    return answer.status_code, answer.json()


def test_a_waiting_job_obeys_at_once(client: TestClient, database: Database) -> None:
    job_id = submit(database)
    status, job = _post(client, job_id, "pause")
    assert (status, job["status"], job["phase"]) == (200, "paused", "paused")
    assert job["actions"] == ["cancel", "resume", "extend"]
    assert _post(client, job_id, "pause")[0] == 200, "it is so already"
    status, job = _post(client, job_id, "resume")
    assert (status, job["status"], job["status_reason"]) == (202, "queued", "resumed_by_user")
    status, job = _post(client, job_id, "cancel")
    assert (status, job["status"], job["actions"]) == (200, "cancelled", ["retry"])
    status, problem = _post(client, job_id, "cancel")
    assert (status, problem["code"], problem["phase"]) == (409, "transition_refused", "cancelled")
    status, job = _post(client, job_id, "retry")
    assert (status, job["status"], job["status_reason"]) == (202, "queued", "retried_by_user")


def test_a_running_job_is_asked(client: TestClient, database: Database, settings: Settings) -> None:
    job_id = submit(database)
    claim(database, settings)
    for action, phase, code in (
        ("pause", "pausing", 202),
        ("resume", "running", 200),
        ("pause", "pausing", 202),
        ("cancel", "cancelling", 202),
        ("cancel", "cancelling", 202),
    ):
        status, job = _post(client, job_id, action)
        assert (status, job["status"], job["phase"]) == (code, "running", phase)
    assert _post(client, job_id, "pause")[0] == 409


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"grace_seconds": -1}, "grace_seconds"),
        ({"grace_seconds": 3601}, "grace_seconds"),
        ({"grace_seconds": "1"}, "grace_seconds"),
        ({"force": True}, "force"),
    ],
)
def test_a_cancellation_with_a_bad_body_cancels_nothing(
    client: TestClient, database: Database, body: dict[str, Any], param: str
) -> None:
    job_id = submit(database)
    status, problem = _post(client, job_id, "cancel", json=body)
    assert (status, problem["param"]) == (422, param)
    assert client.get(f"/jobs/{job_id}").json()["status"] == "queued"


def test_a_body_that_is_not_json_is_refused_where_none_is_needed(
    client: TestClient, database: Database
) -> None:
    status, problem = _post(client, submit(database), "cancel", content=b"now!")
    assert (status, problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("action", ACTIONS)
def test_a_job_that_is_not_there(client: TestClient, action: str) -> None:
    status, problem = _post(client, "job_none", action)
    assert (status, problem["code"]) == (404, "job_not_found")


def test_a_finished_job_is_extended(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings)
    status, problem = _post(client, job_id, "extend", json={"total_steps": 1000})
    assert (status, problem["param"]) == (422, "total_steps")
    assert "must be more than it is now: 1000" in problem["detail"]
    status, job = _post(client, job_id, "extend", json={"total_steps": 5000})
    assert (status, job["status"], job["progress"]["total_steps"]) == (202, "queued", 5000)
    assert job["policy"] is not None, "what it has learnt is still served"


def test_an_extension_needs_its_steps(client: TestClient, database: Database) -> None:
    job_id = submit(database)
    for body, param in (
        ({}, "total_steps"),
        ({"total_steps": None}, "total_steps"),
        ({"total_steps": 10**9}, "total_steps"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_episodes": 5}, "max_episodes"),  # it has none, which is more
        ({"priority": 1}, "priority"),
    ):
        status, problem = _post(client, job_id, "extend", json=body)
        assert (status, problem["param"]) == (422, param)
    status, job = _post(client, job_id, "extend", json={"total_steps": 2000})
    assert (status, job["status"], job["status_reason"]) == (202, "queued", None)


# ---- cloning


def test_a_clone_is_a_new_job_with_what_differs(client: TestClient, database: Database) -> None:
    original = client.get(f"/jobs/{submit(database, name='first', labels={'a': '1'})}").json()
    overrides = {
        "seed": 7,
        "labels": {"b": "2"},
        "algorithm": {"hyperparameters": {"discount": 0.9}},
    }
    answer = client.post(f"/jobs/{original['id']}/clone", json=overrides)
    clone = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/jobs/{clone['id']}" != f"/jobs/{original['id']}"
    assert (clone["cloned_from"], original["cloned_from"]) == (original["id"], None)
    assert (clone["name"], clone["status"]) == ("first", "queued")
    wanted = original["spec"] | {"seed": 7, "labels": {"a": "1", "b": "2"}}
    wanted["algorithm"]["hyperparameters"]["discount"] = 0.9
    assert clone["spec"] == wanted


def test_a_clone_in_another_environment_keeps_nothing_of_the_old_one(
    client: TestClient, database: Database
) -> None:
    environment = {"id": "Pendulum-v1", "kwargs": {"g": 5.0}, "max_episode_steps": 50}
    job_id = submit(database, environment=environment)
    same = client.post(f"/jobs/{job_id}/clone", json={"environment": {"history": 2}}).json()
    assert same["spec"]["environment"]["kwargs"] == {"g": 5.0}
    assert same["spec"]["environment"]["observation"]["shape"] == [6]
    other = client.post(f"/jobs/{job_id}/clone", json={"environment": {"id": "CartPole-v1"}})
    fresh = client.post("/jobs", json=spec(environment={"id": "CartPole-v1"}))
    assert other.json()["spec"]["environment"] == fresh.json()["spec"]["environment"]
    assert other.json()["name"] == "cartpole-v1-mrq", "the old name's policies are of Pendulum"
    named = submit(database, name="mine")
    clone = client.post(f"/jobs/{named}/clone", json={"environment": {"id": "CartPole-v1"}})
    assert clone.json()["name"] == "mine"


def test_a_clone_with_another_preset_takes_its_hyperparameters(
    client: TestClient, database: Database
) -> None:
    changed = {"preset": "paper", "hyperparameters": {"discount": 0.9}}
    job_id = submit(database, algorithm=changed)
    clone = client.post(f"/jobs/{job_id}/clone", json={"algorithm": {"preset": "small"}}).json()
    fresh = client.post("/jobs", json=spec(algorithm={"preset": "small"})).json()
    assert clone["spec"]["algorithm"] == fresh["spec"]["algorithm"]


def test_a_longer_clone_is_looked_at_as_seldom_as_a_job_of_its_length(
    client: TestClient, database: Database
) -> None:
    longer = {"budget": {"total_steps": 400_000}}
    clone = client.post(f"/jobs/{submit(database)}/clone", json=longer).json()
    fresh = client.post("/jobs", json=spec(**longer)).json()
    assert clone["spec"] == fresh["spec"]
    chosen = submit(database, evaluation={"every_steps": 300})
    kept = client.post(f"/jobs/{chosen}/clone", json=longer).json()["spec"]["evaluation"]
    assert kept["every_steps"] == 300


def test_null_gives_a_field_its_default_again(client: TestClient, database: Database) -> None:
    job_id = submit(database, evaluation={"every_steps": 7, "episodes": 3})
    patch = {"evaluation": {"every_steps": None}}
    evaluation = client.post(f"/jobs/{job_id}/clone", json=patch).json()["spec"]["evaluation"]
    assert (evaluation["every_steps"], evaluation["episodes"]) == (50, 3)


@pytest.mark.parametrize(
    ("overrides", "status", "param"),
    [
        ({"budget": {"total_steps": 0}}, 422, "budget.total_steps"),
        ({"budget": 7}, 422, "budget"),
        ({"nonsense": 1}, 422, "nonsense"),
        ({"environment": {"id": "evil:Env-v0"}}, 422, "environment.id"),
        ({"seed": 10**20}, 422, "seed"),
        ([1], 400, "body"),
        ("seed", 400, "body"),
    ],
)
def test_a_bad_clone_makes_nothing(
    client: TestClient, database: Database, overrides: Any, status: int, param: str
) -> None:
    job_id = submit(database)
    before = row_counts(database)
    answer = client.post(f"/jobs/{job_id}/clone", json=overrides)
    assert (answer.status_code, answer.json()["param"]) == (status, param)
    assert row_counts(database) == before


def test_half_a_character_is_refused_as_for_a_new_job(
    client: TestClient, database: Database
) -> None:
    sent: dict[str, Any] = {
        "content": b'{"name": "\\ud800"}',
        "headers": {"Content-Type": "application/json"},
    }
    for path in ("/jobs", f"/jobs/{submit(database)}/clone"):
        answer = client.post(path, **sent)
        assert 400 <= answer.status_code < 500, path


def test_the_same_key_clones_once(client: TestClient, database: Database) -> None:
    first, second = submit(database), submit(database)
    key = {"Idempotency-Key": "again"}
    one = client.post(f"/jobs/{first}/clone", json={}, headers=key)
    again = client.post(f"/jobs/{first}/clone", json={}, headers=key)
    assert one.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = client.post(f"/jobs/{second}/clone", json={}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_failures_are_told_by_whose_fault_they_were(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = submit(database)
    taken = claim(database, settings)
    reason = Reason.HOST_OUT_OF_MEMORY
    give_up_attempt(database, settings, taken, reason, message="no memory", exit_code=-9)
    job = client.get(f"/jobs/{job_id}").json()
    assert job["failures"] == {"infrastructure": 1, "error": 0}
    (attempt,) = client.get(f"/jobs/{job_id}/attempts").json()["data"]
    assert (attempt["reason"], attempt["fault"]) == (reason, "infrastructure")
    assert (attempt["device"], attempt["fidelity"]) == ("cpu", None)
    assert attempt["peak_memory_bytes"] is None
