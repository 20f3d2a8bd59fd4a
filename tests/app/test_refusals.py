"""Bad input: a clear answer, and nothing left behind."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from store.database import Database
from store.settings import Settings
from store.spec import JobSpec
from tests.app.driving import BEARER, row_counts, spec

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JSON = {"Content-Type": "application/json"}


def assert_nothing_is_left(database: Database) -> None:
    assert set(row_counts(database).values()) == {0}


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"environment": {"id": "os:system"}}, "environment.id", "'os:system'"),
        ({"environment": {"id": "evil:Env-v0"}}, "environment.id", "'evil:Env-v0'"),
        ({"environment": {"id": "CartPole-v1/../x"}}, "environment.id", "allowed: CartPole-v1"),
        (
            {"environment": {"id": "Ant-v5", "kwargs": {"xml_file": "/etc/passwd"}}},
            "environment.kwargs.xml_file",
            "'/etc/passwd'",
        ),
        ({"budget": {"total_steps": -5}}, "budget.total_steps", "-5"),
        ({"budget": {"total_steps": 10**18}}, "budget.total_steps", "100000000"),
        ({"budget": {"total_steps": 1e18}}, "budget.total_steps", "100000000"),
        ({"budget": {"total_steps": 1.5}}, "budget.total_steps", "1.5"),
        ({"budget": {"total_steps": "9"}}, "budget.total_steps", "'9'"),
        ({"budget": {}}, "budget.total_steps", "missing"),
        ({"surprise": 1}, "surprise", "allowed: name, labels, priority, environment"),
        ({"name": "a\u0000b"}, "name", "pattern"),
        ({"labels": {"k": 1}}, "labels.k", "string"),
        ({"evaluation": {"every_steps": 2_000}, "status": "x"}, "status", "allowed"),
    ],
)
def test_a_bad_job_names_field_value_and_what_is_allowed(
    client: TestClient, database: Database, changes: dict[str, Any], param: str, said: str
) -> None:
    answer = client.post("/jobs", json=spec(**changes))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert problem["param"] == param
    assert said in problem["detail"]
    assert ".".join(map(str, problem["errors"][0]["loc"])) == param
    assert_nothing_is_left(database)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (
            "",
            "name, labels, priority, environment, algorithm, budget, evaluation, checkpointing, "
            "early_stopping, limits, init_from, seed, seeds",
        ),
        ("environment", "id, kwargs, max_episode_steps, action_repeat, history, limit_terminates"),
        ("environment.kwargs", "g"),
        ("environment.observation", "kind, shape"),
        ("algorithm", "name, mode, preset, hyperparameters, offline"),
        ("algorithm.hyperparameters", "zs_dim, zsa_dim"),
        ("budget", "total_steps, max_episodes, max_seconds"),
        ("evaluation", "every_steps, episodes, action_mode, epsilon"),
        ("checkpointing", "every_steps, keep"),
        ("init_from", "checkpoint_id, job_id, load, sha256"),
    ],
)
def test_an_unknown_key_is_refused_at_every_level(
    client: TestClient, database: Database, path: str, allowed: str
) -> None:
    """In a resolved spec, for that has every part."""
    body = JobSpec.model_validate(spec(init_from={"job_id": "job_none"})).to_json()
    part = body
    for name in path.split(".") if path else []:
        part = part[name]
    part["surprise"] = 1
    answer = client.post("/jobs", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert problem["param"] == f"{path}.surprise".lstrip(".")
    assert f": {allowed}" in problem["detail"]
    assert_nothing_is_left(database)


@pytest.mark.parametrize(
    ("hyperparameters", "param", "said"),
    [
        ({"learning_rate": 1}, "learning_rate", "allowed: zs_dim"),
        ({"batch_size": -1}, "batch_size", "between 1 and 65536"),
        ({"discount": 1.5}, "discount", "1.5"),
        ({"batch_size": "many"}, "batch_size", "'many'"),
    ],
)
def test_a_bad_hyperparameter(
    client: TestClient, database: Database, hyperparameters: Any, param: str, said: str
) -> None:
    answer = client.post("/jobs", json=spec(algorithm={"hyperparameters": hyperparameters}))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert problem["param"] == f"algorithm.hyperparameters.{param}"
    assert said in problem["detail"]
    assert_nothing_is_left(database)


def test_a_job_that_needs_too_much_memory(client: TestClient, database: Database) -> None:
    huge = {"hyperparameters": {"buffer_size": 10_000_000}}
    body = spec(environment={"id": "Humanoid-v5"}, budget={"total_steps": 100_000_000})
    answer = client.post("/jobs", json=body | {"algorithm": huge})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "estimate_too_large")
    assert problem["param"] == "algorithm.hyperparameters.buffer_size"
    assert problem["allowed_bytes"] == 8 << 30 < problem["needed_bytes"]
    assert_nothing_is_left(database)


@pytest.mark.parametrize("path", ["/jobs", "/jobs?dry_run=true", "/jobs/{id}/clone"])
def test_a_job_whose_environment_the_workers_lack(
    make_settings: Callable[..., Settings], database: Database, path: str
) -> None:
    lacking = create_app(make_settings(worker_extras="train,dmc"))
    with TestClient(lacking, headers=BEARER) as client:
        job_id = client.post("/jobs", json=spec()).json()["id"]
        body = spec(environment={"id": "FetchReach-v4"})
        if "clone" in path:
            body = {"environment": {"id": "FetchReach-v4", "kwargs": None, "observation": None}}
        before = row_counts(database)
        answer = client.post(path.format(id=job_id), json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "environment_not_installed")
    assert problem["param"] == "environment.id"
    assert problem["install"] == "pip install 'mrq-service[robotics]'"
    assert problem["install"] in problem["detail"]
    assert row_counts(database) == before


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"", "malformed_body", "not JSON"),
        (b"{", "malformed_body", "line 1 column 2"),
        (b"[" * 1000 + b"]" * 1000, "malformed_body", "nested too deeply"),
        (b"[" * 100_000, "malformed_body", "nested too deeply"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "malformed_body", "32 levels are allowed"),
        (b'{"seed": NaN}', "number_not_finite", "NaN"),
        (b'{"seed": -Infinity}', "number_not_finite", "-Infinity"),
        (b'{"seed": 1e999}', "number_not_finite", "1e999"),
        (b'{"seed": 1, "seed": 2}', "malformed_body", "'seed' stands twice"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "malformed_body", "too many digits"),
        (b'{"name": "\xff"}', "malformed_body", "not UTF-8"),
        (b'{"name": "\\ud800"}', "malformed_body", "hex escape"),
    ],
)
def test_a_body_that_is_not_plain_json(
    client: TestClient, database: Database, body: bytes, code: str, said: str
) -> None:
    answer = client.post("/jobs", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert said in answer.json()["detail"]
    assert len(answer.content) < 1_000
    assert_nothing_is_left(database)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_only_plain_json_is_read(
    client: TestClient, database: Database, headers: dict[str, str]
) -> None:
    answer = client.post("/jobs", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert_nothing_is_left(database)


def test_a_huge_value_does_not_come_back_whole(client: TestClient, database: Database) -> None:
    answer = client.post("/jobs", json=spec(environment={"id": "x" * 500_000}))
    assert answer.status_code == 422
    assert len(answer.content) < 5_000
    labels = {f"key {index}": 1 for index in range(20_000)}
    answer = client.post("/jobs", json=spec(labels=labels))
    assert answer.status_code == 422
    assert len(answer.content) < 50_000
    assert_nothing_is_left(database)


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9\u0007"])
def test_a_bad_idempotency_key(client: TestClient, database: Database, key: str) -> None:
    # Bytes on purpose, as in test_auth: such a key has no text form that a client would send.
    headers: Any = {"Idempotency-Key": key.encode("latin-1")}
    answer = client.post("/jobs", json=spec(), headers=headers)
    assert (answer.status_code, answer.json()["param"]) == (422, "Idempotency-Key")
    assert_nothing_is_left(database)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"checkpoint_id": "ckpt_none"}, 404, "checkpoint_id"),
        ({}, 422, "checkpoint_id"),
        ({"checkpoint_id": "ckpt_none", "name": "../x"}, 422, "name"),
        ({"checkpoint_id": "ckpt_none", "name": "pol_1"}, 422, "name"),
        ({"checkpoint_id": "ckpt_none", "version": 3}, 422, "version"),
    ],
)
def test_a_bad_promotion(
    client: TestClient, database: Database, body: dict[str, Any], status: int, param: str
) -> None:
    answer = client.post("/policies", json=body)
    assert (answer.status_code, answer.json()["param"]) == (status, param)
    assert_nothing_is_left(database)


def test_every_problem_has_the_same_members(client: TestClient) -> None:
    answer = client.get("/jobs/job_none")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem == {
        "type": "urn:mrq:problem:job_not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "No job 'job_none' here.",
        "instance": "/jobs/job_none",
        "code": "job_not_found",
        "param": "job_id",
        "request_id": answer.headers["x-request-id"],
    }


def test_a_path_and_a_method_that_are_not_there(client: TestClient) -> None:
    answer = client.get("/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
    answer = client.delete("/jobs")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"]
