"""Groups of seeds, batches and revisions over HTTP."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.policies import succeed
from store.settings import Settings
from tests.app.driving import claim, evaluate, row_counts, spec, submit

SEEDS = [3, 1, 2]


def launch(client: TestClient, seeds: Any = SEEDS, **changes: Any) -> dict[str, Any]:
    answer = client.post("/jobs", json=spec(seeds=seeds, name="pen", **changes))
    assert answer.status_code == 201, answer.text
    group: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == group["links"]["self"] == f"/job-groups/{group['id']}"
    return group


def test_seeds_make_a_group(client: TestClient) -> None:
    group = launch(client)
    assert (group["name"], group["status"], group["seeds"]) == ("pen", "queued", SEEDS)
    assert group["jobs_by_status"] == {"queued": 3}
    assert group["actions"] == ["cancel", "pause", "extend"]
    assert [job["name"] for job in group["jobs"]] == ["pen-seed-3", "pen-seed-1", "pen-seed-2"]
    assert {"seed", "name"} & group["spec"].keys() == set(), "in these they differ"
    assert group["spec"]["budget"]["total_steps"] == 1000
    assert client.get(group["links"]["self"]).json() == group
    job = client.get(f"/jobs/{group['jobs'][0]['id']}").json()
    assert (job["group_id"], job["spec"]["seed"]) == (group["id"], 3)
    listed = client.get("/jobs", params={"group_id": group["id"]}).json()["data"]
    assert [each["spec"]["seed"] for each in listed] == [2, 1, 3]
    brief = client.get("/job-groups").json()["data"]
    assert brief == [{key: group[key] for key in brief[0]}]


def test_one_seed_makes_a_job(client: TestClient) -> None:
    answer = client.post("/jobs", json=spec(seeds=[4], name="pen"))
    job = answer.json()
    assert answer.headers["Location"] == f"/jobs/{job['id']}"
    assert (job["name"], job["spec"]["seed"], job["group_id"]) == ("pen", 4, None)


def test_the_same_key_gives_the_same_group(client: TestClient, database: Database) -> None:
    body, headers = spec(seeds=SEEDS), {"Idempotency-Key": "k"}
    first, again = (client.post("/jobs", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert row_counts(database)["jobs"] == len(SEEDS)


def test_a_dry_run_says_how_many_jobs_and_submits_none(
    client: TestClient, database: Database
) -> None:
    answer = client.post("/jobs?dry_run=true", json=spec(seeds=SEEDS))
    assert (answer.status_code, answer.json()["jobs"]) == (200, 3)
    assert row_counts(database)["job_groups"] == row_counts(database)["jobs"] == 0


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"seeds": []}, "seeds", "at least 1"),
        ({"seeds": [1, 1]}, "seeds", "name 1 twice"),
        ({"seeds": list(range(65))}, "seeds", "at most 64"),
        ({"seeds": [-1]}, "seeds.0", "-1"),
        ({"seeds": ["1"]}, "seeds.0", "'1'"),
        ({"seeds": [1, 2], "seed": 0}, "seeds", "one of the two"),
        ({"seeds": [1, 2], "name": "x" * 124}, "name", "128"),
        ({"priority": 101}, "priority", "101"),
        ({"priority": "high"}, "priority", "'high'"),
    ],
)
def test_a_bad_group_is_refused_whole(
    client: TestClient, database: Database, changes: dict[str, Any], param: str, said: str
) -> None:
    answer = client.post("/jobs", json=spec(**changes))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["param"]) == (422, "invalid_input", param)
    assert said in problem["detail"]
    assert row_counts(database)["jobs"] == row_counts(database)["job_groups"] == 0


def test_a_group_obeys_as_one(client: TestClient, database: Database, settings: Settings) -> None:
    group = launch(client)
    succeed(database, claim(database, settings), weights_sha256="a", step=1_000)
    path = group["links"]["self"]
    paused = client.post(f"{path}/pause").json()
    assert (paused["done"], paused["refused"], paused["has_more"]) == (2, 1, False)
    assert [each["outcome"] for each in paused["data"]] == ["refused", "done", "done"]
    assert paused["data"][0]["code"] == "transition_refused"
    assert "is succeeded" in paused["data"][0]["detail"]
    shown = client.get(path).json()
    assert (shown["status"], shown["jobs_by_status"]) == ("paused", {"succeeded": 1, "paused": 2})
    assert shown["actions"] == ["cancel", "resume", "extend"]
    assert client.post(f"{path}/resume").json()["done"] == 2
    longer = client.post(f"{path}/extend", json={"total_steps": 2000}).json()
    assert (longer["done"], longer["refused"]) == (3, 0)
    assert client.get(path).json()["spec"]["budget"]["total_steps"] == 2000
    assert client.post(f"{path}/cancel", json={"grace_seconds": 0}).json()["done"] == 3
    assert client.post(f"{path}/retry").json()["done"] == 3
    assert client.get(path).json()["jobs_by_status"] == {"queued": 3}


@pytest.mark.parametrize("path", ["", "/summary"])
def test_an_unknown_group_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/job-groups/grp_none{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "group_not_found")
    answer = client.post("/job-groups/grp_none/cancel")
    assert (answer.status_code, answer.json()["code"]) == (404, "group_not_found")


def test_the_summary_of_a_group(client: TestClient, database: Database, settings: Settings) -> None:
    group = launch(client)
    for mean in (-300.0, -100.0):
        taken = claim(database, settings)
        evaluate(database, taken, 1000, [mean])
        succeed(database, taken, weights_sha256="a", step=1_000)
    found = client.get(group["links"]["summary"]).json()
    assert (found["group_id"], found["missing"]) == (group["id"], {"queued": 1})
    assert (found["confidence"], found["resamples"]) == (0.95, 10_000)
    interval = {"value": -200.0, "low": -300.0, "high": -100.0}
    assert (
        found["last"]
        == found["best"]
        == {
            "n": 2,
            "iqm": interval,
            "mean": interval,
            "median": interval,
            "least": -300.0,
            "most": -100.0,
        }
    )
    assert found["curve"] == [{"step": 1000, "n": 2, "iqm": interval}]


def test_a_batch_by_ids(client: TestClient, database: Database) -> None:
    first, second = submit(database), submit(database)
    body = {"action": "cancel", "ids": [first, "job_none", second, first]}
    found = client.post("/jobs/batch", json=body).json()
    assert [(each["job_id"], each["outcome"], each["phase"]) for each in found["data"]] == [
        (first, "done", "cancelled"),
        ("job_none", "refused", None),
        (second, "done", "cancelled"),
    ]
    assert found["data"][1]["code"] == "job_not_found"
    assert (found["done"], found["refused"]) == (2, 1)


def test_a_batch_by_filter_leaves_the_others_alone(client: TestClient, database: Database) -> None:
    mine = submit(database, labels={"team": "a"})
    other = submit(database, labels={"team": "b"})
    body = {"action": "pause", "filter": {"labels": {"team": "a"}, "status": "queued"}}
    found = client.post("/jobs/batch", json=body).json()
    assert [each["job_id"] for each in found["data"]] == [mine]
    statuses = {job["id"]: job["status"] for job in client.get("/jobs").json()["data"]}
    assert statuses == {mine: "paused", other: "queued"}


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"action": "cancel"}, "ids", "either ids or filter"),
        ({"action": "cancel", "ids": ["a"], "filter": {"q": "a"}}, "ids", "one of the two"),
        ({"action": "cancel", "ids": []}, "ids", "at least 1"),
        ({"action": "cancel", "filter": {}}, "filter", "every job"),
        ({"action": "extend", "ids": ["a"]}, "action", "'extend'"),
        ({"action": "cancel", "filter": {"state": "x"}}, "filter.state", "allowed: status"),
        ({"action": "cancel", "filter": {"status": "x"}}, "filter.status", "'x'"),
        ({"action": "cancel", "filter": {"q": "\x00"}}, "q", "NUL"),
    ],
)
def test_a_bad_batch_changes_nothing(
    client: TestClient, database: Database, body: dict[str, Any], param: str, said: str
) -> None:
    submit(database)
    answer = client.post("/jobs/batch", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["param"]) == (422, param), problem
    assert said in problem["detail"]
    assert [job["status"] for job in client.get("/jobs").json()["data"]] == ["queued"]


def test_a_job_is_revised(client: TestClient, database: Database) -> None:
    job_id = submit(database)
    changes = {"name": "other", "labels": {"a": "b"}, "priority": -3}
    job = client.patch(f"/jobs/{job_id}", json=changes).json()
    assert {key: job[key] for key in changes} == changes
    assert {key: job["spec"][key] for key in changes} == changes
    again = client.patch(f"/jobs/{job_id}", json={"priority": 5}).json()
    assert (again["priority"], again["name"]) == (5, "other")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "priority"),
        ({"name": None}, "name"),
        ({"name": "job_x"}, "name"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"priority": 1.5}, "priority"),
        ({"seed": 1}, "seed"),
    ],
)
def test_a_bad_revision_changes_nothing(
    client: TestClient, database: Database, body: dict[str, Any], param: str
) -> None:
    job_id = submit(database)
    before = client.get(f"/jobs/{job_id}").json()
    answer = client.patch(f"/jobs/{job_id}", json=body)
    assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text
    assert client.get(f"/jobs/{job_id}").json() == before


def test_a_clone_of_a_group_s_job_with_another_seed_is_called_so(client: TestClient) -> None:
    job_id = launch(client)["jobs"][0]["id"]
    clone = client.post(f"/jobs/{job_id}/clone", json={"seed": 9}).json()
    assert (clone["name"], clone["group_id"]) == ("pen-seed-9", None)
    assert client.post(f"/jobs/{job_id}/clone", json={}).json()["name"] == "pen-seed-3"
