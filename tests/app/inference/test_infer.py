"""The Open Inference Protocol: what its clients get, and what they are told if they are wrong."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.bundles import (
    DISCRETE,
    GOLDEN,
    OBSERVATION,
    PART_WEIGHTS,
    PARTS,
    linear_bundle,
    pixel_bundle,
)
from tests.app.driving import trained_job
from tests.app.inference.asking import HEADER, acted, actions_of, infer, infer_bytes, tensor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SWING = "/v2/models/swing"
ROWS = np.array([[1, 0, 0], [0.5, -1, 2], [0, 0, 0]], np.float32)
BODY = {"inputs": [tensor("observation", ROWS)]}


@pytest.fixture
def swing(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


@pytest.fixture
def parts(database: Database, settings: Settings) -> None:
    trained_job(database, settings, linear_bundle(PARTS, PART_WEIGHTS), name="swing")


@pytest.mark.usefixtures("swing")
def test_the_server_and_the_model_say_what_they_are(client: TestClient) -> None:
    for prefix in ("", "/v1"):
        introduces_itself(client, prefix)


def introduces_itself(client: TestClient, prefix: str) -> None:
    server = client.get(f"{prefix}/v2").json()
    assert server == {
        "name": "mrq-service",
        "version": "0.1.0",
        "extensions": ["binary_tensor_data"],
    }
    assert client.get(f"{prefix}/v2/health/live").json() == {"live": True}
    assert client.get(f"{prefix}/v2/health/ready").json() == {"ready": True}
    for path in (SWING, f"{SWING}/versions/1"):
        assert client.get(f"{prefix}{path}/ready").json() == {"name": "swing", "ready": True}
        assert client.get(f"{prefix}{path}").json() == {
            "name": "swing",
            "versions": ["1"],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": "observation", "datatype": "FP32", "shape": [-1, 3]}],
            "outputs": [{"name": "action", "datatype": "FP32", "shape": [-1, 2]}],
        }


def test_a_name_is_its_newest_version_and_a_version_stays(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, linear_bundle(step=1), name="swing")
    golden = np.zeros((1, 3), np.float32)
    other = linear_bundle(weights=np.zeros((3, 2), np.float32), observations=golden)
    trained_job(database, settings, other, name="swing")
    assert client.get(SWING).json()["versions"] == ["1", "2"]
    assert client.get(f"{SWING}/versions/1").json()["versions"] == ["1", "2"]
    newest, first = (infer(client, BODY, f"{SWING}{at}/infer") for at in ("", "/versions/1"))
    assert (newest.json()["model_version"], first.json()["model_version"]) == ("2", "1")
    assert (newest.headers["x-policy-version"], first.headers["x-policy-version"]) == ("2", "1")
    assert actions_of(newest).tolist() == [[0.0, 5.0]] * 3
    assert actions_of(first).tolist() != actions_of(newest).tolist()


@pytest.mark.usefixtures("swing")
def test_it_acts_as_act_does_in_json_and_in_bytes(client: TestClient) -> None:
    expected = acted(client, ROWS.tolist())
    answer = infer(client, BODY | {"id": "first"})
    assert answer.json()["id"] == "first"
    assert answer.json()["model_name"] == "swing"
    assert answer.headers["content-type"] == "application/json"
    assert actions_of(answer).tolist() == expected
    nested = tensor("observation", ROWS) | {"data": ROWS.tolist()}
    assert actions_of(infer(client, {"inputs": [nested]})).tolist() == expected
    in_bytes = infer_bytes(client, {"observation": ROWS}, parameters={"binary_data_output": True})
    assert in_bytes.headers["content-type"] == "application/octet-stream"
    assert actions_of(in_bytes).tolist() == expected
    assert "queue;dur=" in in_bytes.headers["server-timing"]


FORMS: tuple[tuple[Any, ...], ...] = (
    ({}, False),
    ({"parameters": {"binary_data_output": True}}, True),
    ({"outputs": [{"name": "action"}]}, False),
    ({"outputs": [{"name": "action", "parameters": {"binary_data": True}}]}, True),
    (
        {
            "outputs": [{"name": "action", "parameters": {"binary_data": False}}],
            "parameters": {"binary_data_output": True},
        },
        False,
    ),
)


@pytest.mark.usefixtures("swing")
def test_the_answer_comes_in_the_form_that_was_asked_for(
    client: TestClient,
) -> None:
    expected = acted(client, ROWS.tolist())
    for more, is_binary in FORMS:
        for answer in (
            infer(client, BODY | more),
            infer_bytes(client, {"observation": ROWS}, **more),
        ):
            assert (HEADER in answer.headers) == is_binary, more
            assert actions_of(answer).tolist() == expected


@pytest.mark.usefixtures("parts")
def test_a_sample_has_a_seed_and_a_mask_forbids(client: TestClient) -> None:
    asked: dict[str, Any] = {"mode": "sample", "seed": 7}
    sampled = actions_of(infer(client, BODY | {"parameters": asked}))
    assert sampled.tolist() == acted(client, ROWS.tolist(), **asked)
    inputs = client.get(SWING).json()["inputs"]
    assert inputs[1] == {"name": "action_mask", "datatype": "BOOL", "shape": [-1, 5]}
    one = np.array([[False, False, True, True, False]])
    each = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 1, 1], [1, 1, 1, 1, 0]], np.uint8)
    for mask, told in ((one, one[0]), (one[0], one[0]), (each, each)):
        expected = acted(client, ROWS.tolist(), action_mask=told.tolist())
        named = {"observation": ROWS, "action_mask": mask}
        in_json = infer(client, {"inputs": [tensor(name, each) for name, each in named.items()]})
        assert actions_of(in_json).tolist() == expected
        assert actions_of(infer_bytes(client, named)).tolist() == expected


def test_frames_are_one_array_of_bytes(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, pixel_bundle(), name="swing")
    frames = client.get(SWING).json()["inputs"][0]
    assert frames == {"name": "observation", "datatype": "UINT8", "shape": [-1, 2, 3, 40, 36]}
    rows = (np.arange(3 * 2 * 3 * 40 * 36) % 251).astype(np.uint8).reshape(3, 2, 3, 40, 36)
    expected = acted(client, rows.tolist())
    assert actions_of(infer_bytes(client, {"observation": rows})).tolist() == expected
    many = np.tile(rows, (45, 1, 1, 1, 1))
    assert many.nbytes > settings.max_body_bytes  # as JSON it would have no more than that
    assert actions_of(infer_bytes(client, {"observation": many})).tolist() == expected * 45


@pytest.mark.usefixtures("swing")
def test_json_has_its_own_limit(settings: Settings, make_client: Callable[[], TestClient]) -> None:
    settings.max_act_bytes = 20
    assert infer(make_client(), BODY).status_code == 200


def changed(**changes: Any) -> Any:
    return {"inputs": [tensor("observation", ROWS) | changes]}


WRONG: tuple[tuple[Any, ...], ...] = (
    ({}, 422, "inputs: expected a list of objects"),
    ([], 400, "must be a JSON object"),
    ({"inputs": [1]}, 422, "inputs[0]: expected an object"),
    (BODY | {"surprise": 1}, 422, "'surprise' is not read; allowed: id, parameters"),
    (BODY | {"id": 5}, 422, "id: expected a text"),
    (BODY | {"parameters": {"sequence_id": 3}}, 422, "'parameters.sequence_id' is not read"),
    (BODY | {"parameters": []}, 422, "parameters: expected an object"),
    (BODY | {"parameters": {"mode": "best"}}, 422, "must be one of deterministic, sample"),
    (BODY | {"parameters": {"seed": 1}}, 422, "allowed with mode='sample' only"),
    (BODY | {"parameters": {"deadline_ms": 0}}, 422, "deadline_ms=0"),
    (BODY | {"parameters": {"binary_data_output": 1}}, 422, "expected true or false"),
    (BODY | {"outputs": [{"name": "q"}]}, 422, "outputs[0].name: expected 'action'"),
    (changed(name="state"), 422, "'state' is no input of this policy; allowed: observation"),
    (changed(name=None), 422, "inputs[0].name: expected a text"),
    (changed(datatype="BYTES"), 422, "inputs[0].datatype: expected one of BOOL, UINT8"),
    (changed(shape=[3]), 422, "inputs[0].data: expected 3 numbers, got 9 of them"),
    (changed(shape=[9]), 422, "observation: expected shape [batch, 3], got [9]"),
    (changed(shape=[1, 9]), 422, "observation: expected shape [batch, 3], got [1, 9]"),
    (changed(shape=[-1, 3]), 422, "inputs[0].shape: expected a list of sizes"),
    (changed(shape=[1] * 9), 422, "inputs[0].shape: expected a list of sizes"),
    (changed(data=[[1, 2], [3]]), 422, "inputs[0].data: expected 9 numbers"),
    (changed(data=["a"] * 9), 422, "inputs[0].data: expected 9 numbers"),
    (changed(data=[1] * 8), 422, "got 8 of them"),
    (changed(data=[1e300] * 9), 422, "expected finite float32 numbers"),
    (changed(data=[1.5] * 9, datatype="INT8"), 422, "numbers that int8 holds, got 1.5"),
    (changed(data=[-1] * 9, datatype="UINT8"), 422, "numbers that uint8 holds, got -1"),
    (changed(more=1), 422, "'inputs[0].more' is not read; allowed: name, shape"),
    (changed(parameters={"binary_data_size": 36}), 422, "no data beside bytes"),
    ({"inputs": BODY["inputs"] * 2}, 422, "inputs[1].name: expected each input once"),
    ({"inputs": [tensor("action_mask", ROWS > 0)]}, 422, "'observation' is missing"),
    (
        {"inputs": [*BODY["inputs"], tensor("action_mask", ROWS > 0)]},
        422,
        "no meaning for continuous actions",
    ),
    ({"inputs": [tensor("observation", np.zeros((257, 3)))]}, 422, "1 to 256"),
)


@pytest.mark.usefixtures("swing")
def test_what_is_wrong_is_said_in_the_protocols_form(
    client: TestClient,
) -> None:
    for body, status, said in WRONG:
        answer = infer(client, body)
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error"}
        assert said in answer.json()["error"]
        assert answer.status_code == status, said
    refused = sum(status == 422 for _, status, _ in WRONG)
    labels = 'policy="swing",version="1",code="422"'
    lost = int(re.findall(r'policy="",version="",code="422"} (\d+)', metrics(client))[0])
    counted = int(re.findall(rf"{labels}}} (\d+)", metrics(client))[0])
    assert lost + counted == refused


WRONG_BYTES: tuple[tuple[Any, ...], ...] = (
    (36, b"\0" * 35, None, "expected 36 bytes, got 35 behind the JSON"),
    (36, b"\0" * 37, None, "body: expected 36 bytes behind the JSON"),
    (35, b"\0" * 36, None, "binary_data_size: expected 36 bytes, got 35"),
    (True, b"\0" * 36, None, "binary_data_size: expected 36 bytes, got True"),
    (36, b"\0" * 36, "x", f"{HEADER}: expected a number of bytes"),
    (36, b"\0" * 36, "9999", f"{HEADER}: expected a number of bytes"),
    (36, b"\0" * 36, "-1", f"{HEADER}: expected a number of bytes"),
    (36, b"\0\0\xc0\x7f" * 9, None, "expected finite float32 numbers"),
)


@pytest.mark.usefixtures("swing")
def test_bytes_that_are_not_what_they_are_said_to_be(
    client: TestClient,
) -> None:
    for size, rest, header, said in WRONG_BYTES:
        form = tensor("observation", ROWS) | {"parameters": {"binary_data_size": size}}
        del form["data"]
        head = json.dumps({"inputs": [form]}).encode()
        headers = {HEADER: header or str(len(head))}
        answer = client.post(f"{SWING}/infer", content=head + rest, headers=headers)
        assert said in answer.json()["error"]
        assert answer.status_code == 422, said


STATUSES: tuple[tuple[Any, ...], ...] = (
    ("POST", "/v2/models/none/infer", {"json": BODY}, 404, "No policy 'none' here."),
    ("POST", f"{SWING}/versions/2/infer", {"json": BODY}, 404, "No policy 'swing:2'"),
    ("GET", "/v2/models/none", {}, 404, "No policy 'none' here."),
    ("GET", f"{SWING}/versions/x/ready", {}, 404, "No policy 'swing:x'"),
    ("GET", "/v2/repository/index", {}, 404, "Not Found"),
    ("GET", f"{SWING}/infer", {}, 405, "Method Not Allowed"),
    ("POST", f"{SWING}/infer", {"content": b"{"}, 400, "The body is not JSON"),
    ("POST", f"{SWING}/infer", {"content": b'{"id": NaN}'}, 400, "NaN"),
    (
        "POST",
        f"{SWING}/infer",
        {"json": BODY, "headers": {"Content-Encoding": "gzip"}},
        415,
        "Content-Encoding='gzip' is not supported",
    ),
    ("POST", f"{SWING}/infer", {"content": b" " * (1 << 21)}, 413, "MRQ_MAX_BODY_BYTES"),
    (
        "POST",
        f"{SWING}/infer",
        {"content": b" " * (1 << 21), "headers": {HEADER: str(1 << 21)}},
        413,
        "MRQ_MAX_BODY_BYTES",
    ),
    (
        "POST",
        f"{SWING}/infer",
        {"content": b" " * (9 << 20), "headers": {HEADER: "2"}},
        413,
        "MRQ_MAX_ACT_BYTES",
    ),
)


@pytest.mark.usefixtures("swing")
def test_statuses_are_those_of_every_route(
    client: TestClient,
) -> None:
    for method, path, options, status, said in STATUSES:
        answer = client.request(method, path, **options)
        assert set(answer.json()) == {"error"}
        assert said in answer.json()["error"]
        assert answer.status_code == status, said
        assert "x-request-id" in answer.headers


@pytest.mark.usefixtures("swing")
def test_it_needs_the_key(stranger: TestClient) -> None:
    for path in ("/v2", "/v2/health/live", SWING, f"{SWING}/infer"):
        answer = stranger.request("POST" if "infer" in path else "GET", path, json=BODY)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "This needs the API key" in answer.json()["error"]


def test_a_policy_that_does_not_act_as_trained_is_not_ready(
    client: TestClient, database: Database, settings: Settings
) -> None:
    bundle = linear_bundle()
    bundle.manifest["golden"]["outputs"][0][0] += 0.1
    trained_job(database, settings, bundle, name="swing")
    for answer in (client.get(f"{SWING}/ready"), infer(client, BODY)):
        assert answer.status_code == 409
        assert "its outputs are off by 0.1" in answer.json()["error"]


def metrics(client: TestClient) -> str:
    return client.get("/metrics").text


@pytest.mark.usefixtures("swing")
def test_it_is_counted_as_acting_is(client: TestClient) -> None:
    infer(client, BODY)
    text = metrics(client)
    assert 'mrq_act_requests_total{policy="swing",version="1",code="200"} 1' in text
    assert 'mrq_act_observations_total{policy="swing",version="1"} 3' in text


def test_golden_pairs_come_back(client: TestClient, database: Database, settings: Settings) -> None:
    bundle = linear_bundle(DISCRETE)
    trained_job(database, settings, bundle, name="swing")
    assert bundle.manifest["observation_space"] == OBSERVATION.to_json()
    actions = actions_of(infer_bytes(client, {"observation": GOLDEN}))
    assert actions.tolist() == bundle.manifest["golden"]["actions"]
