"""Logs over HTTP: uploaded, named by a job, refused, and their policies promoted or not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from benchmarks.offline.cart import Logging, log_csv
from store.database import Database
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Evaluation, Job
from store.training_runs import training_run
from tests.app.driving import row_counts, spec, trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CSV = {"Content-Type": "text/csv"}
UPLOAD = "/datasets?name=cart&role=transitions"
DISCRETE, CONTINUOUS = (log_csv(12, Logging(discrete), seed=0) for discrete in (True, False))


@pytest.fixture
def uploaded(client: TestClient) -> dict[str, Any]:
    answer = client.post(UPLOAD, content=DISCRETE, headers=CSV)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def asked(reference: str = "cart", **changes: Any) -> dict[str, Any]:
    environment = {"id": "mrq/Logged-v0", "dataset_id": reference}
    parts = {"environment": environment, "algorithm": {"mode": "offline", "preset": "small"}}
    return spec(**(parts | changes))


def test_a_log_is_taken_and_described(uploaded: dict[str, Any], client: TestClient) -> None:
    assert (uploaded["role"], uploaded["columns"]["features"]) == (
        "transitions",
        ["place", "speed"],
    )
    assert (uploaded["columns"]["choices"], uploaded["columns"]["episodes"]) == (3, 12)
    report = client.get("/datasets/cart/validation").json()
    assert report["episodes"]["count"] == 12
    assert sum(report["actions"]["counts"]) == report["episodes"]["transitions"]
    assert client.get("/datasets/cart/preview?limit=1").json()["columns"][0] == "episode"


def test_the_kind_of_actions_may_be_said(client: TestClient) -> None:
    answer = client.post(f"{UPLOAD}&actions=continuous", content=DISCRETE, headers=CSV)
    assert answer.json()["columns"]["choices"] == 0
    refusal = client.post(f"{UPLOAD}&actions=discrete", content=CONTINUOUS, headers=CSV)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "dataset_refused")


def test_a_log_that_is_wrong_is_refused_and_leaves_nothing(
    client: TestClient, database: Database, settings: Settings
) -> None:
    lines = DISCRETE.decode().splitlines()
    lines[3] = lines[3].replace(",", ",x", 1)
    refusal = client.post(UPLOAD, content="\n".join(lines).encode(), headers=CSV)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "dataset_refused")
    assert (refusal.json()["problems"][0]["line"], refusal.json()["problems"][0]["column"]) == (
        4,
        "place",
    )
    assert set(row_counts(database).values()) == {0}
    assert [path for path in settings.artifact_dir.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("content", "kind"), [(DISCRETE, "discrete"), (CONTINUOUS, "numbers")])
def test_a_job_has_the_spaces_of_its_log(client: TestClient, content: bytes, kind: str) -> None:
    client.post(UPLOAD, content=content, headers=CSV)
    answer = client.post("/jobs", json=asked())
    assert answer.status_code == 201, answer.text
    stored = JobSpec.model_validate(answer.json()["spec"])
    entry = stored.environment.entry
    assert stored.environment.form.input_shape == (2,)
    assert entry.action_components == ((3,) if kind == "discrete" else ())
    assert entry.action_dim == (3 if kind == "discrete" else 1)
    assert stored.algorithm.offline is not None
    assert stored.algorithm.offline.alpha == 2.5
    run = training_run(stored, "cpu", "somewhere")
    assert run.offline is not None
    assert run.dataset is not None
    assert run.dataset.choices == (3 if kind == "discrete" else 0)


def test_a_stored_spec_is_taken_again(client: TestClient, uploaded: dict[str, Any]) -> None:
    assert uploaded["name"] == "cart"
    first = client.post("/jobs", json=asked()).json()
    again = client.post("/jobs", json=first["spec"])
    assert (again.status_code, again.json()["spec"]) == (201, first["spec"])
    clone = client.post(f"/jobs/{first['id']}/clone", json={"seed": 5})
    assert clone.json()["spec"]["algorithm"] == first["spec"]["algorithm"]


@pytest.mark.parametrize(
    ("number", "value"), [("rows", -5), ("episodes", 10**11), ("choices", -1), ("choices", 10**6)]
)
def test_a_fact_that_is_sent_along_costs_nothing(
    client: TestClient, uploaded: dict[str, Any], number: str, value: int
) -> None:
    assert uploaded["name"] == "cart"
    stored = client.post("/jobs", json=asked()).json()["spec"]
    stored["environment"]["dataset"][number] = value
    refusal = client.post("/jobs", json=stored)
    assert refusal.status_code == 422
    assert refusal.json()["param"] == f"environment.dataset.{number}"


def test_a_billion_episodes_are_not_counted_out(
    client: TestClient, uploaded: dict[str, Any]
) -> None:
    """In memory they would be 8 GB and more."""
    assert uploaded["name"] == "cart"
    stored = client.post("/jobs", json=asked()).json()["spec"]
    stored["environment"]["dataset"]["episodes"] = 10**9
    tracemalloc.start()
    refusal = client.post("/jobs", json=stored)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.status_code == 422
    assert peak < 50_000_000


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
        ({"algorithm": {"mode": "online"}}, "algorithm.mode", "is for 'offline' alone"),
        ({"algorithm": {"offline": {"alpha": 1.0}}}, "algorithm.offline", "leave it out"),
        ({"algorithm": {"mode": "offline", "offline": {"alpha": -1}}}, None, "greater than"),
        ({"environment": {"id": "CartPole-v1"}}, "algorithm.mode", "is for 'online' alone"),
        ({"budget": {"total_steps": 9, "max_episodes": 2}}, "budget.max_episodes", "nobody acts"),
        ({"evaluation": {"action_mode": "sample"}}, "evaluation.action_mode", "at best"),
        ({"evaluation": {"epsilon": 0.5}}, "evaluation.epsilon", "at best"),
        (
            {"algorithm": {"mode": "offline", "hyperparameters": {"buffer_size": 100,
             "warmup_steps": 10}}},
            "algorithm.hyperparameters.buffer_size",
            "the dataset needs",
        ),
        ({"environment": {"id": "mrq/Logged-v0"}}, "environment.dataset_id", "needs a dataset of"),
        (
            {"environment": {"id": "mrq/Logged-v0", "dataset_id": "cart", "action_repeat": 2}},
            "environment.action_repeat",
            "allowed: 1",
        ),
        (
            {"environment": {"id": "mrq/Logged-v0", "dataset_id": "cart",
             "kwargs": {"validation_fraction": 0.1}}},
            "environment.kwargs",
            "of 12 episodes leaves 1",
        ),
    ]  # fmt: skip


def test_what_a_log_cannot_do_is_refused(client: TestClient, uploaded: dict[str, Any]) -> None:
    assert uploaded["name"] == "cart"
    for changes, param, told in REFUSED:
        refusal = client.post("/jobs", json=asked(**changes))
        assert refusal.status_code == 422, refusal.text
        assert told in refusal.text
        assert param is None or refusal.json()["param"] == param


def test_the_two_roles_are_not_taken_for_each_other(
    client: TestClient, uploaded: dict[str, Any]
) -> None:
    refusal = client.post(
        "/jobs", json=spec(environment={"id": "mrq/Trading-v0", "dataset_id": uploaded["id"]})
    )
    assert refusal.json()["param"] == "environment.dataset_id"
    assert "has the role transitions" in refusal.json()["detail"]


def test_an_estimate_is_shown_with_its_interval(
    client: TestClient, database: Database, settings: Settings, uploaded: dict[str, Any]
) -> None:
    job_id = trained_job(database, settings, name="swing")
    interval = {"value": 5.0, "low": 3.25, "high": 7.5}
    estimate = {
        "confidence": 0.95, "discount": 0.95, "episodes": 61, "fitted": interval,
        "logged": interval, "lead": interval, "weighted": None, "effective_episodes": 0.0,
    }  # fmt: skip
    with database.write() as session:
        row = session.scalars(select(Evaluation)).one()
        row.estimate, row.returns, row.lengths, row.return_mean = estimate, [5.0], [], 5.0
        job = session.scalars(select(Job)).one()
        stored = client.post("/jobs?dry_run=true", json=asked()).json()["spec"]
        job.spec = {**job.spec, **{part: stored[part] for part in ("environment", "algorithm")}}
    (shown,) = client.get(f"/jobs/{job_id}/evaluations").json()["data"]
    judged = client.get("/policies/swing").json()["evaluation"]
    assert (judged["episodes"], judged["return_std"], judged["estimate"]) == (61, None, estimate)
    assert (shown["estimate"], shown["lengths"]) == (estimate, [])
    page = client.get(f"/ui/jobs/{job_id}")
    assert page.status_code == 200
    told = ("by logged episodes that were not learnt from", "3.25", "7.50", ">61<")
    for text in (*told, "Served as", "estimated return"):
        assert text in page.text
    assert "/backtest" not in page.text, "that is for prices"
