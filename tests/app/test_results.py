"""What a job has produced, over HTTP."""

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from store.database import Database
from store.extras import MODULES
from store.ownership import start_from
from store.settings import Settings
from tests.app.bundles import pixel_bundle
from tests.app.driving import (
    BEARER,
    claim,
    evaluate,
    progress,
    submit,
    trained_job,
    whole_manifests,
)
from tests.store.acting import release


def test_metrics_are_series_of_step_and_value(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = submit(database)
    taken = claim(database, settings)
    progress(database, taken, 100, **{"loss/value": 0.5, "loss/policy": 1.0})
    progress(database, taken, 200, **{"loss/value": math.nan, "loss/policy": math.inf})
    progress(database, taken, 300, **{"loss/value": 0.25})
    metrics = client.get(f"/jobs/{job_id}/metrics").json()
    assert metrics["keys"] == ["loss/policy", "loss/value"]
    assert metrics["series"] == [
        {"key": "loss/policy", "points": [[100, 1.0], [200, "Infinity"]]},
        {"key": "loss/value", "points": [[100, 0.5], [200, "NaN"], [300, 0.25]]},
    ]
    chosen = client.get(f"/jobs/{job_id}/metrics?keys=loss/value,none&after_step=200").json()
    assert chosen["series"] == [
        {"key": "loss/value", "points": [[300, 0.25]]},
        {"key": "none", "points": []},
    ]


def test_metrics_are_thinned(client: TestClient, database: Database, settings: Settings) -> None:
    job_id = submit(database)
    taken = claim(database, settings)
    for step in range(1, 41):
        progress(database, taken, step, value=100.0 if step == 17 else 0.0)
    points = client.get(f"/jobs/{job_id}/metrics?max_points=10").json()["series"][0]["points"]
    assert len(points) <= 10
    assert [17, 100.0] in points
    answer = client.get(f"/jobs/{job_id}/metrics?max_points=1")
    assert (answer.status_code, answer.json()["param"]) == (422, "max_points")
    many = ",".join(map(str, range(201)))
    answer = client.get(f"/jobs/{job_id}/metrics?keys={many}")
    assert (answer.status_code, answer.json()["param"]) == (422, "keys")


def test_evaluations_say_which_is_best(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = submit(database)
    taken = claim(database, settings)
    evaluate(database, taken, 100, [1.0, 3.0])
    evaluate(database, taken, 200, [0.0, 2.0])
    first, second = client.get(f"/jobs/{job_id}/evaluations").json()["data"]
    assert (first["step"], first["best"], second["best"]) == (100, True, False)
    assert (first["return_mean"], first["return_std"]) == (2.0, 1.0)
    assert (first["return_min"], first["return_max"]) == (1.0, 3.0)
    assert (first["returns"], first["seeds"]) == ([1.0, 3.0], [0, 1])
    checkpoints = client.get(f"/jobs/{job_id}/checkpoints").json()["data"]
    assert [(c["step"], c["best"], c["return_mean"]) for c in checkpoints] == [
        (200, False, 1.0),
        (100, True, 2.0),
    ]
    assert {c["kind"] for c in checkpoints} == {"policy"}


def test_attempts_and_events_tell_the_history(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = submit(database)
    release(database, claim(database, settings))
    start_from(database, claim(database, settings), None)
    first, second = client.get(f"/jobs/{job_id}/attempts").json()["data"]
    assert (first["number"], first["status"], first["reason"]) == (1, "released", "drained")
    assert (second["number"], second["status"], second["finished_at"]) == (2, "running", None)

    events = client.get(f"/jobs/{job_id}/events").json()["data"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert [event["type"] for event in events] == ["status"] * 4 + ["attempt"]
    page = client.get(f"/jobs/{job_id}/events?after=1&limit=2").json()
    assert [event["seq"] for event in page["data"]] == [2, 3]
    assert (page["has_more"], page["next_cursor"]) == (True, "3")


def test_promoting_makes_the_next_version(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings, name="swing")
    first = client.get("/policies/swing").json()
    assert (first["name"], first["version"], first["job_id"]) == ("swing", 1, job_id)
    assert first["evaluation"] == {
        "return_mean": -150.0,
        "return_std": 50.0,
        "episodes": 2,
        "action_mode": "deterministic",
        "estimate": None,
    }
    assert first["action_modes"] == ["deterministic", "sample"]
    assert first["observation_space"]["type"] == "box"
    answer = client.post("/policies", json={"checkpoint_id": first["checkpoint_id"]})
    assert answer.status_code == 201
    second = answer.json()
    assert answer.headers["location"] == f"/policies/{second['id']}"
    assert (second["name"], second["version"]) == ("swing", 2)
    assert client.get("/policies/swing").json() == second
    assert client.get("/policies/swing:1").json() == first
    assert client.get(f"/policies/{first['id']}").json() == first
    listed = client.get(f"/policies?job_id={job_id}&limit=1").json()
    assert listed["data"] == [second]
    rest = client.get("/policies", params={"after": listed["next_cursor"]}).json()
    assert (rest["data"], rest["has_more"]) == ([first], False)


def test_no_answer_about_policies_reads_their_golden_pairs(
    client: TestClient, database: Database, settings: Settings
) -> None:
    """Those of pixels are megabytes of JSON, for each policy of the list."""
    trained_job(database, settings, pixel_bundle(), name="seen")
    with whole_manifests() as read:
        listed = client.get("/policies").json()["data"][0]
        assert client.get("/policies/seen").json() == listed
        client.post("/policies", json={"checkpoint_id": listed["checkpoint_id"]})
    assert listed["history"] == 2
    assert listed["observation_space"]["spaces"][0]["shape"] == [3, 40, 36]
    assert read == []


def test_a_policy_that_is_not_there(client: TestClient) -> None:
    for reference in ("none", "none:1", "none:x", "pol_none", "%00", "a:" + "9" * 30):
        answer = client.get(f"/policies/{reference}")
        assert answer.status_code in (404, 422), reference
    assert client.get("/policies/none").json()["code"] == "policy_not_found"


def test_environments_are_listed_with_the_schema_of_their_kwargs(client: TestClient) -> None:
    listed = client.get("/environments").json()["data"]
    pendulum = client.get("/environments/Pendulum-v1").json()
    assert pendulum in listed
    assert (pendulum["observation_dim"], pendulum["action_dim"]) == (3, 1)
    assert (pendulum["action_kind"], pendulum["action_components"]) == ("continuous", [])
    assert pendulum["kwargs_schema"]["properties"]["g"]["maximum"] == 100.0
    answer = client.get("/environments/os:system")
    assert (answer.status_code, answer.json()["code"]) == (404, "environment_not_found")


def test_an_environment_of_pixels_and_one_with_masks(client: TestClient) -> None:
    racing = client.get("/environments/CarRacing-v3").json()
    assert (racing["observation_kind"], racing["observation_shape"]) == ("pixels", [3, 96, 96])
    assert (racing["observation_dim"], racing["masked"]) == (27_648, False)
    taxi = client.get("/environments/Taxi-v4").json()
    assert (taxi["action_components"], taxi["masked"]) == ([6], True)


def test_an_environment_whose_id_has_a_namespace(client: TestClient) -> None:
    for path in ("/environments/mrq/Catch-v0", "/v1/environments/mrq%2FCatch-v0"):
        catch = client.get(path).json()
        assert (catch["id"], catch["gymnasium_id"]) == (
            "mrq/Catch-v0",
            "mrq_core.tasks:mrq/Catch-v0",
        )
    assert client.get("/environments/Pendulum-v1").json()["gymnasium_id"] == "Pendulum-v1"
    assert client.get("/environments/mrq/None-v0").json()["code"] == "environment_not_found"


def test_an_environment_tells_what_installs_it_and_whether_it_is(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    with TestClient(create_app(make_settings(worker_extras="train")), headers=BEARER) as client:
        listed = {each["id"]: each for each in client.get("/environments").json()["data"]}
    pong = listed["Atari/Pong-v5"]
    assert (pong["area"], pong["extra"], pong["licence"]) == ("atari", "atari", "GPL-2.0-only")
    assert (pong["installed"], pong["evaluation_epsilon"]) == (False, 0.001)
    assert pong["install"] == "pip install 'mrq-service[atari]'"
    assert pong["suggested"] == {
        "preset": "paper",
        "total_steps": 2_500_000,
        "action_repeat": 1,
        "history": None,
    }
    assert listed["Pendulum-v1"]["installed"] is True
    assert listed["glucosim/BasalControl-v0"]["limit_terminates"] is True


def test_a_server_that_cannot_train_says_that_it_does_not_know(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast(dict[str, Any], MODULES), "train", ("a_package_of_nobody",))
    assert client.get("/environments/Pendulum-v1").json()["installed"] is None
    assert client.get("/environments/FetchReach-v4").json()["installed"] is None


def test_readiness_counts_jobs(client: TestClient, database: Database, settings: Settings) -> None:
    submit(database)
    assert client.get("/readyz").json() == {
        "status": "ok",
        "database": "ok",
        "jobs": {"queued": 1},
        "policies_loaded": 0,
    }
