"""`POST /policies/{reference}/act` as a client sees it."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from mrq_core.spaces import Discrete
from store.database import Database
from store.settings import Settings
from tests.app.bundles import DISCRETE, WEIGHTS, linear_bundle
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


def act(client: TestClient, body: dict[str, Any], reference: str = "swing") -> Any:
    return client.post(f"/policies/{reference}/act", json=body)


def test_one_observation_gives_one_action(client: TestClient) -> None:
    answer = act(client, {"observation": [1, 0.0, 0.0]})
    assert answer.status_code == 200
    body = answer.json()
    assert body["action"] == pytest.approx([2 * np.tanh(0.5), 5 + 5 * np.tanh(-1)], abs=1e-5)
    policy = client.get("/policies/swing").json()
    assert body["policy_id"] == policy["id"]
    assert (body["name"], body["version"]) == ("swing", 1)
    assert body["checkpoint_id"] == policy["checkpoint_id"]
    assert body["mode"] == "deterministic"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["timing"].keys() == {"queue_us", "compute_us", "batch_size", "total_us"}
    assert body["timing"]["batch_size"] == 1
    assert "actions" not in body


def test_a_batch_is_the_same_as_one_by_one(client: TestClient) -> None:
    observations = np.random.default_rng(1).standard_normal((5, 3)).round(3).tolist()
    body = act(client, {"observations": observations}).json()
    single = [act(client, {"observation": each}).json()["action"] for each in observations]
    assert body["actions"] == single
    assert "action" not in body


def test_a_discrete_action_is_an_integer(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, linear_bundle(DISCRETE), name="choice")
    assert act(client, {"observation": [1, 0, 0]}, "choice").json()["action"] == 0
    body = act(client, {"observations": [[0, 0, 1], [1, 0, 0]]}, "choice").json()
    assert body["actions"] == [1, 0]


def test_every_reference_reaches_it(client: TestClient) -> None:
    policy_id = client.get("/policies/swing").json()["id"]
    for reference in ("swing", "swing:1", policy_id):
        assert act(client, {"observation": [0, 0, 0]}, reference).json()["policy_id"] == policy_id


def test_a_seed_makes_samples_repeatable_in_any_batch(client: TestClient) -> None:
    seeded = {"mode": "sample", "seed": 7}
    first = act(client, {"observation": [0.1, 0.2, 0.3]} | seeded).json()["action"]
    batch = {"observations": [[0, 0, 0], [0.1, 0.2, 0.3]]} | seeded
    assert act(client, batch).json()["actions"][1] == first
    without = {"observation": [0.1, 0.2, 0.3], "mode": "sample"}
    drawn = {tuple(act(client, without).json()["action"]) for _ in range(3)}
    assert len(drawn) == 3


def test_an_exported_policy_acts_over_http_as_torch_does(
    client: TestClient, database: Database, settings: Settings
) -> None:
    import torch

    from mrq_core.actions import action_codec
    from mrq_core.agent import Agent
    from mrq_core.config import PRESETS
    from mrq_core.export import export_policy
    from mrq_core.observations import ObservationForm
    from mrq_core.policy import policy_of
    from store.results import PolicyBundle
    from tests.app.bundles import CONTINUOUS, OBSERVATION

    agent = Agent(PRESETS["small"], (3,), 2, seed=0)
    policy = policy_of(agent)
    golden = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    exported = export_policy(
        policy,
        environment_id="Pendulum-v1",
        environment_kwargs={},
        observation_space=OBSERVATION,
        action_space=CONTINUOUS,
        hyperparameters=PRESETS["small"],
        step=1,
        weights_sha256="",
        form=ObservationForm("vector", (3,), 1),
        masked=False,
        sample_states=golden,
    )
    bundle = PolicyBundle(onnx=exported.onnx, manifest=exported.manifest)
    trained_job(database, settings, bundle, name="torch")
    fresh = np.random.default_rng(1).standard_normal((16, 3)).astype(np.float32)
    body = act(client, {"observations": fresh.tolist(), "return": ["latent"]}, "torch").json()
    with torch.no_grad():
        zs = policy.encoder.encode_state(torch.from_numpy(fresh)).numpy()
    np.testing.assert_allclose(body["latent"], zs, atol=1e-5)
    expected = policy.act(fresh, "deterministic", torch.Generator())
    in_units = action_codec(CONTINUOUS).to_environment(expected)
    np.testing.assert_allclose(body["actions"], in_units, atol=1e-4)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"observation": [0, 0]}, "observation_shape_mismatch", "observation"),
        ({"observation": [0, 0, 0, 0]}, "observation_shape_mismatch", "observation"),
        ({"observation": [[0, 0, 0]]}, "observation_shape_mismatch", "observation"),
        ({"observation": 0.5}, "observation_shape_mismatch", "observation"),
        ({"observation": []}, "observation_shape_mismatch", "observation"),
        ({"observation": {"x": 1}}, "observation_shape_mismatch", "observation"),
        ({"observation": [0, 0, "a"]}, "observation_dtype", "observation"),
        ({"observation": "abc"}, "observation_dtype", "observation"),
        ({"observation": [0, 0, None]}, "observation_dtype", "observation"),
        ({"observation": [0, 0, True]}, "observation_dtype", "observation"),
        ({"observation": None}, "observation_dtype", "observation"),
        ({"observation": [0, 0, 1e39]}, "observation_not_finite", "observation"),
        ({"observation": [0, 0, 10**30]}, None, None),  # an integer that a float can hold
        ({"observations": [[0, 0, 0], [0, 0]]}, "observation_shape_mismatch", "observations[1]"),
        ({"observations": [[0, 0, 0], [0, "a", 0]]}, "observation_dtype", "observations[1]"),
        ({"observations": [0, 0, 0]}, "observation_shape_mismatch", "observations[0]"),
        ({"observations": []}, "batch_size", "observations"),
        ({"observations": [[0, 0, 0]] * 257}, "batch_size", "observations"),
        ({"observations": {}}, "batch_size", "observations"),
        ({}, "observation_missing", "observation"),
        ({"observation": [0] * 3, "observations": []}, "observation_missing", "observation"),
        ({"observation": [0] * 3, "action_mask": [1, 1]}, "mask_unsupported", "action_mask"),
        ({"observation": [0] * 3, "extra": 1}, "unknown_field", "extra"),
        ({"observation": [0] * 3, "mode": "random"}, "mode_unsupported", "mode"),
        ({"observation": [0] * 3, "mode": ["sample"]}, "mode_unsupported", "mode"),
        ({"observation": [0] * 3, "seed": 1}, "seed_without_sample", "seed"),
        ({"observation": [0] * 3, "mode": "sample", "seed": -1}, "seed_invalid", "seed"),
        ({"observation": [0] * 3, "mode": "sample", "seed": 1.5}, "seed_invalid", "seed"),
        ({"observation": [0] * 3, "mode": "sample", "seed": True}, "seed_invalid", "seed"),
        ({"observation": [0] * 3, "mode": "sample", "seed": 2**53}, "seed_invalid", "seed"),
        ({"observation": [0] * 3, "deadline_ms": 0}, "deadline_invalid", "deadline_ms"),
        ({"observation": [0] * 3, "deadline_ms": -1}, "deadline_invalid", "deadline_ms"),
        ({"observation": [0] * 3, "deadline_ms": 60_001}, "deadline_invalid", "deadline_ms"),
        ({"observation": [0] * 3, "deadline_ms": "9"}, "deadline_invalid", "deadline_ms"),
        ({"observation": [0] * 3, "deadline_ms": True}, "deadline_invalid", "deadline_ms"),
        ({"observation": [0, 0, 10**400]}, "number_too_large", "observation"),
        ({"observation": [0, [0], 0]}, "observation_shape_mismatch", "observation"),
        ({"observation": ["0", "0", "0"]}, "observation_dtype", "observation"),
    ],
)
def test_what_it_cannot_take_is_named(
    client: TestClient, body: dict[str, Any], code: str | None, param: str | None
) -> None:
    act(client, {"observation": [0, 0, 0]})  # from here on the policy is at hand
    answer = act(client, body)
    if code is None:
        assert answer.status_code == 200
        return
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["param"]) == (422, code, param)
    if code.startswith(("observation_shape", "observation_dtype", "observation_not")):
        assert problem["expected"]
        assert problem["got"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite(client: TestClient, text: str) -> None:
    act(client, {"observation": [0, 0, 0]})
    body = f'{{"observation": [0, 0, {text}]}}'.encode()
    answer = client.post("/policies/swing/act", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "observation_not_finite")
    assert text in answer.json()["detail"] or "inf" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"observation": ' + b"[" * 1000 + b"]" * 1000 + b"}", 422),
        (b'{"observation": 1, "mode": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
        (b'{"observation": 1, "mode": "sample", "seed":' + b"[" * 900 + b"]" * 900 + b"}", 422),
        (b'{"a":' * 900 + b"1" + b"}" * 900, 422),
        (b"[" * 200_000, 400),
        (b'{"observation": "\xff"}', 400),
        (b'{"observation": [0,0,' + b"9" * 5000 + b"]}", 400),
    ],
)
def test_a_body_that_is_no_request(client: TestClient, body: bytes, status: int) -> None:
    act(client, {"observation": [0, 0, 0]})
    answer = client.post("/policies/swing/act", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2_000


def test_another_media_type_is_refused(client: TestClient) -> None:
    headers = {"Content-Type": "application/x-numpy"}
    answer = client.post("/policies/swing/act", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_what_cannot_be_in_time_is_504(client: TestClient) -> None:
    for _ in range(2):  # while it is loaded, and when it is at hand
        answer = act(client, {"observation": [0, 0, 0], "deadline_ms": 1e-6})
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
        assert act(client, {"observation": [0, 0, 0], "deadline_ms": 60_000}).status_code == 200


def test_the_answer_says_how_long_it_took(client: TestClient) -> None:
    answer = act(client, {"observation": [0, 0, 0]})
    parts = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(parts) == ["queue", "compute", "total"]
    timing = answer.json()["timing"]
    for name, text in parts.items():
        assert float(text) == pytest.approx(timing[f"{name}_us"] / 1000)
    assert answer.headers["x-policy-version"] == "1"


def test_an_absent_policy(client: TestClient) -> None:
    for reference in ("none", "swing:2", "pol_none", "x" * 500):
        answer = act(client, {"observation": [0, 0, 0]}, reference)
        assert (answer.status_code, answer.json()["code"]) == (404, "policy_not_found")
    assert client.get("/policies/swing/act").status_code == 405


def test_a_policy_that_does_not_act_as_recorded(
    client: TestClient, database: Database, settings: Settings
) -> None:
    golden = linear_bundle().manifest["golden"]
    golden["outputs"][1][0] += 0.01
    trained_job(database, settings, linear_bundle(golden=golden), name="broken")
    answer = act(client, {"observation": [0, 0, 0]}, "broken")
    assert (answer.status_code, answer.json()["code"]) == (409, "policy_failed_golden_check")


def test_a_discrete_observation_out_of_range(
    client: TestClient, database: Database, settings: Settings
) -> None:
    space = Discrete(3).to_json()
    trained_job(database, settings, linear_bundle(observation_space=space), name="cells")
    body = act(client, {"observation": 1}, "cells").json()
    assert body["action"] == pytest.approx([2 * np.tanh(WEIGHTS[1, 0]), 5.0], abs=1e-5)
    for value, code in ((3, "observation_out_of_range"), (1.5, "observation_dtype")):
        answer = act(client, {"observation": value}, "cells")
        assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_promotion_over_http_is_served_at_once(client: TestClient) -> None:
    first = act(client, {"observation": [0, 0, 0]}).json()
    client.post("/policies", json={"checkpoint_id": first["checkpoint_id"]})
    assert act(client, {"observation": [0, 0, 0]}).json()["version"] == 2
