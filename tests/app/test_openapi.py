"""The document is valid, complete, and says what the server really answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from app import schemas
from app.environment_views import EnvironmentView
from app.inference import views as inference
from app.inference.infer import PATHS
from app.inference.requests import FIELDS as INFER_FIELDS
from app.inference.requests import INPUT_FIELDS, OUTPUT_FIELDS, PARAMETERS
from app.routes.aliases import AliasMoveView, AliasView
from app.routes.traffic import TrafficView
from app.serving.requests import FIELDS
from store.database import Database
from store.settings import Settings
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

METHODS = {"get", "post", "put", "patch", "delete"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert method in METHODS
            yield path, method, operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def test_the_document_is_valid(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_every_route_is_in_it_with_its_key_and_problems(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {f"{method} {path}" for path, method, _ in operations(document)} == {
        "post /jobs",
        "get /jobs",
        "post /jobs/batch",
        "post /checkpoints/import",
        "get /jobs/{job_id}",
        "patch /jobs/{job_id}",
        "delete /jobs/{job_id}",
        "post /jobs/{job_id}/restore",
        "delete /policies/{reference}",
        "get /job-groups",
        "get /job-groups/{group_id}",
        "get /job-groups/{group_id}/summary",
        "get /compare",
        "post /job-groups/{group_id}/cancel",
        "post /job-groups/{group_id}/pause",
        "post /job-groups/{group_id}/resume",
        "post /job-groups/{group_id}/retry",
        "post /job-groups/{group_id}/extend",
        "post /jobs/{job_id}/cancel",
        "post /jobs/{job_id}/pause",
        "post /jobs/{job_id}/resume",
        "post /jobs/{job_id}/retry",
        "post /jobs/{job_id}/extend",
        "post /jobs/{job_id}/clone",
        "get /jobs/{job_id}/metrics",
        "get /jobs/{job_id}/evaluations",
        "get /jobs/{job_id}/checkpoints",
        "get /jobs/{job_id}/checkpoints/{checkpoint_id}/files",
        "get /jobs/{job_id}/checkpoints/{checkpoint_id}/files/{name}",
        "get /jobs/{job_id}/attempts",
        "get /jobs/{job_id}/events",
        "post /policies",
        "post /policies/import",
        "get /policies",
        "get /policies/{reference}",
        "put /policies/{name}/aliases/{alias}",
        "get /policies/{name}/aliases",
        "get /policies/{name}/aliases/{alias}/history",
        "delete /policies/{name}/aliases/{alias}",
        "put /policies/{name}/traffic",
        "get /policies/{name}/traffic",
        "delete /policies/{name}/traffic",
        "post /policies/{reference}/act",
        "post /policies/{reference}/sessions",
        "get /policies/{reference}/sessions/{session_id}",
        "delete /policies/{reference}/sessions/{session_id}",
        "post /policies/{reference}/imagine",
        "get /policies/{reference}/feedback",
        "post /policies/{reference}/feedback",
        "delete /policies/{reference}/feedback",
        "post /policies/{reference}/feedback/dataset",
        "post /policies/{reference}/backtest",
        "get /policies/{reference}/backtests",
        "get /backtests/{backtest_id}",
        "post /datasets",
        "get /datasets",
        "get /datasets/{reference}",
        "delete /datasets/{reference}",
        "get /datasets/{reference}/preview",
        "get /datasets/{reference}/validation",
        "get /environments",
        "get /environments/{environment_id}",
        "get /healthz",
        "get /metrics",
        "get /readyz",
        "get /v2",
        "get /v2/health/live",
        "get /v2/health/ready",
        "get /v2/models/{name}",
        "get /v2/models/{name}/ready",
        "get /v2/models/{name}/versions/{version}",
        "get /v2/models/{name}/versions/{version}/ready",
        "post /v2/models/{name}/infer",
        "post /v2/models/{name}/versions/{version}/infer",
    }
    for path, method, operation in operations(document):
        assert operation["security"] == ([] if path == "/healthz" else [{"key": []}])
        ((media_type, problem),) = operation["responses"]["default"]["content"].items()
        protocol = path == "/v2" or path.startswith("/v2/")
        assert media_type == ("application/json" if protocol else "application/problem+json")
        schema = "InferenceError" if protocol else "Problem"
        assert problem["schema"]["$ref"] == f"#/components/schemas/{schema}"
        named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert all(f"{{{name}}}" in path for name in named)
        assert path.count("{") == len(named)
        has_body = (method, path) in {
            ("post", "/jobs"),
            ("post", "/jobs/batch"),
            ("post", "/checkpoints/import"),
            ("patch", "/jobs/{job_id}"),
            ("post", "/job-groups/{group_id}/cancel"),
            ("post", "/job-groups/{group_id}/extend"),
            ("post", "/jobs/{job_id}/cancel"),
            ("post", "/jobs/{job_id}/extend"),
            ("post", "/jobs/{job_id}/clone"),
            ("post", "/policies"),
            ("post", "/policies/import"),
            ("put", "/policies/{name}/aliases/{alias}"),
            ("put", "/policies/{name}/traffic"),
            ("post", "/datasets"),
            ("post", "/policies/{reference}/act"),
            ("post", "/policies/{reference}/imagine"),
            ("post", "/policies/{reference}/feedback"),
            ("post", "/policies/{reference}/feedback/dataset"),
            ("post", "/v2/models/{name}/infer"),
            ("post", "/v2/models/{name}/versions/{version}/infer"),
        }
        assert ("requestBody" in operation) == has_body


def test_the_hyperparameters_are_described(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["Hyperparameters"]["properties"]["batch_size"]["default"] == 256


def test_the_act_route_is_described_with_all_that_it_takes(client: TestClient) -> None:
    act = client.get("/openapi.json").json()["paths"]["/policies/{reference}/act"]["post"]
    schema = act["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == FIELDS
    one, many, absent = schema["properties"]["action_mask"]["anyOf"]
    assert absent == {"type": "null"}
    assert many == {"type": "array", "minItems": 1, "items": one}
    kinds = [kind["type"] for kind in one["items"]["anyOf"]]
    assert kinds == ["integer", "boolean"]  # what tests/app/serving/test_masks.py sends


def test_the_infer_routes_are_described_with_all_that_they_take(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in PATHS:
        content = paths[path]["post"]["requestBody"]["content"]
        assert set(content) == {"application/json", "application/octet-stream"}
        fields = content["application/json"]["schema"]["properties"]
        assert set(fields) == set(INFER_FIELDS)
        assert set(fields["parameters"]["properties"]) == set(PARAMETERS)
        assert set(fields["inputs"]["items"]["properties"]) == set(INPUT_FIELDS)
        assert set(fields["outputs"]["items"]["properties"]) == set(OUTPUT_FIELDS)


def assert_is(answer: Any, kind: Any) -> None:
    """Exactly the members of this type, each of its type."""
    TypeAdapter(kind).validate_python(answer)
    assert set(answer) == set(kind.__annotations__)


def test_the_answers_are_what_the_document_says(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings, labels={"a": "b"})
    job = client.get(f"/jobs/{job_id}").json()
    assert_is(job, schemas.JobView)
    assert_is(job["progress"], schemas.ProgressView)
    assert_is(job["links"], schemas.JobLinks)
    assert_is(client.get(f"/jobs/{job_id}/metrics").json(), schemas.MetricsView)
    for part, kind in (
        ("evaluations", schemas.EvaluationView),
        ("checkpoints", schemas.CheckpointView),
        ("attempts", schemas.AttemptView),
        ("events", schemas.EventView),
    ):
        page = client.get(f"/jobs/{job_id}/{part}").json()
        assert_is(page, schemas.Page)
        assert_is(page["data"][0], kind)
    checkpoint = client.get(f"/jobs/{job_id}/checkpoints").json()["data"][0]
    files = client.get(checkpoint["links"]["files"]).json()
    assert_is(files, schemas.Page)
    assert_is(files["data"][0], schemas.FileView)
    assert_is(client.get("/policies").json()["data"][0], schemas.PolicyView)
    name = "/policies/pendulum-v1-mrq"
    moved = client.put(f"{name}/aliases/a", json={"version": 1, "expected_version": None})
    assert_is(moved.json(), AliasView)
    assert_is(client.get(f"{name}/aliases").json()["data"][0], AliasView)
    assert_is(client.get(f"{name}/aliases/a/history").json()["data"][0], AliasMoveView)
    traffic = {"routes": [{"version": 1, "weight": 1}], "expected_revision": None}
    assert_is(client.put(f"{name}/traffic", json=traffic).json(), TrafficView)
    assert_is(client.get("/environments").json()["data"][0], EnvironmentView)
    assert_is(client.get("/readyz").json(), schemas.ReadyView)
    model = "/v2/models/pendulum-v1-mrq"
    assert_is(client.get("/v2").json(), inference.ServerView)
    assert_is(client.get("/v2/health/live").json(), inference.LiveView)
    assert_is(client.get("/v2/health/ready").json(), inference.ReadyView)
    assert_is(client.get(f"{model}/ready").json(), inference.ModelReadyView)
    assert_is(client.get(model).json(), inference.ModelView)
    assert_is(client.get(model).json()["inputs"][0], inference.TensorView)
