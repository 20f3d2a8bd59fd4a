"""Submitting, finding and cancelling jobs over HTTP."""

import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.driving import claim, evaluate, progress, row_counts, spec, submit, trained_job


def test_a_job_is_created_with_every_default_filled_in(client: TestClient) -> None:
    answer = client.post("/jobs", json=spec(name="first", labels={"team": "a"}))
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}" == job["links"]["self"]
    assert (job["name"], job["labels"], job["status"]) == ("first", {"team": "a"}, "queued")
    assert job["spec"]["algorithm"]["hyperparameters"]["batch_size"] == 256
    assert job["spec"]["evaluation"]["every_steps"] == 50
    assert job["queue_position"] == 1
    assert job["policy"] is None
    assert job["links"]["act"] is None
    assert job["links"]["page"] == f"/ui/jobs/{job['id']}"
    assert job["created_at"].endswith("Z")
    assert client.get(answer.headers["location"]).json() == job


def test_a_dry_run_estimates_and_submits_nothing(client: TestClient, database: Database) -> None:
    answer = client.post("/jobs?dry_run=true", json=spec())
    assert answer.status_code == 200
    body = answer.json()
    assert body["spec"]["seed"] == 0
    # 20 bytes a parameter; 2,048 slots of 4*(3+1+1)+3+16 bytes, and the 1,024 they grew from;
    # 256 x 6 steps of 3 inputs and three times 5*512 + 2*512 + 512 + 256 + 65 units.
    replay, batch = 3072 * 39, 4 * 256 * 6 * (3 + 3 * 4417)
    assert body["estimate"]["memory_bytes"] == body["estimate"]["parameters"] * 20 + replay + batch
    assert set(row_counts(database).values()) == {0}


def test_paths_work_with_and_without_the_version(client: TestClient, database: Database) -> None:
    job_id = submit(database)
    assert client.get(f"/v1/jobs/{job_id}").json() == client.get(f"/jobs/{job_id}").json()


def test_the_same_key_and_body_give_the_same_job(client: TestClient) -> None:
    key = {"Idempotency-Key": "once"}
    first = client.post("/jobs", json=spec(), headers=key)
    second = client.post("/jobs", json=spec(), headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert len(client.get("/jobs").json()["data"]) == 1


def test_a_key_used_again_with_another_body_is_refused(client: TestClient) -> None:
    key = {"Idempotency-Key": "once"}
    client.post("/jobs", json=spec(), headers=key)
    answer = client.post("/jobs", json=spec(seed=1), headers=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(client.get("/jobs").json()["data"]) == 1


def test_the_list_is_paged_newest_first(client: TestClient, database: Database) -> None:
    ids = [submit(database, name=f"job-{index}") for index in range(3)]
    first = client.get("/jobs?limit=2").json()
    assert [job["id"] for job in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"] is True
    rest = client.get("/jobs", params={"limit": 2, "after": first["next_cursor"]}).json()
    assert [job["id"] for job in rest["data"]] == [ids[0]]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)


def test_the_list_is_filtered(client: TestClient, database: Database, settings: Settings) -> None:
    submit(database, name="a-job")
    claim(database, settings)
    submit(database, name="b-job", environment={"id": "CartPole-v1"}, labels={"team": "red"})

    def found(**query: str) -> list[str]:
        jobs = client.get("/jobs", params=query).json()["data"]
        return [job["name"] for job in jobs]

    assert found(status="running") == ["a-job"]
    assert found(environment="CartPole-v1") == ["b-job"]
    assert found(**{"label.team": "red"}) == ["b-job"]
    assert found(**{"label.team": "red"}, status="running") == []
    assert found(q="B-J") == ["b-job"]
    assert found(q="%") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("status=done", "status"),
        ("sort=name", "sort"),
        ("after=%00", "after"),
        ("after=bm4x", "after"),
    ],
)
def test_a_query_that_means_nothing_is_refused(client: TestClient, query: str, param: str) -> None:
    answer = client.get(f"/jobs?{query}")
    assert (answer.status_code, answer.json()["param"]) == (422, param)
    assert param in answer.json()["detail"]


def test_a_running_job_shows_how_far_it_is(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = submit(database)
    taken = claim(database, settings)
    progress(database, taken, 250, **{"loss/value": 0.5})
    job = client.get(f"/jobs/{job_id}").json()
    shown = job["progress"]
    assert (shown["step"], shown["total_steps"], shown["fraction"]) == (250, 1000, 0.25)
    assert (shown["steps_per_second"], shown["eta_seconds"]) == (100.0, 7.5)
    assert job["latest_metrics"] == {"step": 250, "loss/value": 0.5}
    assert (job["attempt"], job["queue_position"]) == (1, None)


def test_a_trained_job_names_its_policy(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job = client.get(f"/jobs/{trained_job(database, settings)}").json()
    assert (job["status"], job["status_reason"]) == ("succeeded", "budget_exhausted")
    assert job["best"]["return_mean"] == -150.0
    assert job["policy"]["version"] == 1
    assert job["links"]["act"] == f"/policies/{job['policy']['id']}/act"
    assert job["progress"]["eta_seconds"] is None
    assert job["weights_sha256"] == "ab" * 32


def test_a_job_shows_the_newest_policy_of_its_own(
    client: TestClient, database: Database, settings: Settings
) -> None:
    first = trained_job(database, settings)
    second = trained_job(database, settings)
    checkpoint = client.get(f"/jobs/{first}").json()["best"]["checkpoint_id"]
    client.post("/policies", json={"checkpoint_id": checkpoint, "name": "other"})
    shown = {job["id"]: job["policy"] for job in client.get("/jobs").json()["data"]}
    assert (shown[first]["name"], shown[first]["version"]) == ("other", 1)
    assert (shown[second]["name"], shown[second]["version"]) == ("pendulum-v1-mrq", 2)


def test_a_job_that_is_not_there(client: TestClient) -> None:
    for path in ("", "/events", "/metrics", "/evaluations", "/checkpoints", "/attempts"):
        for job_id in ("job_none", "%00", "..%2f..%2fetc", "a" * 129):
            answer = client.get(f"/jobs/{job_id}{path}")
            assert answer.status_code in (404, 422)
            assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/jobs/job_none").json()["code"] == "job_not_found"


def test_the_best_checkpoint_so_far_is_shown(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = submit(database)
    taken = claim(database, settings)
    checkpoint = evaluate(database, taken, 100, [1.0, 3.0])
    best = client.get(f"/jobs/{job_id}").json()["best"]
    assert best == {"checkpoint_id": checkpoint, "return_mean": 2.0}
