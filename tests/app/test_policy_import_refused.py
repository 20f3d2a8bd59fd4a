"""What `POST /policies/import` refuses, and that nothing is left of it."""

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.routes import policy_import
from app.serving import trial, trial_process
from mrq_core.spaces import MultiBinary
from store.database import Database
from store.policy_import import PolicyParts
from store.settings import Settings
from store.strict_json import MAX_DEPTH
from tests.app.bundles import CONTINUOUS, GOLDEN, linear_bundle
from tests.app.driving import row_counts
from tests.app.learned import learned
from tests.app.policy_importing import (
    GRAPH,
    MANIFEST,
    MODEL,
    PATH,
    Files,
    files_of,
    policy_files,
    post,
    sha256,
)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

GOLDEN_PAIRS = linear_bundle().manifest["golden"]
BOX = linear_bundle().manifest["observation_space"]
ACTIONS = linear_bundle().manifest["action_space"]


@pytest.fixture
def refused(client: TestClient, database: Database, settings: Settings) -> Callable[..., Any]:
    def send(files: Files, **query: str) -> Any:
        answer = post(client, files, **query)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_policy"), answer.text
        assert "allowed: " in problem["detail"]
        assert len(answer.content) < 3_000
        assert set(row_counts(database).values()) == {0}
        assert not any(settings.artifact_dir.rglob("*"))
        return problem

    return send


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial itself, without a process of its own: tests of what it says are many."""

    def run(parts: PolicyParts, max_batch: int) -> Any:
        try:
            model = parts.model or b""
            return trial_process.tried(json.loads(parts.manifest_bytes), parts.onnx, model, 8)
        except trial_process.NotServed as why:
            raise trial.refusal(why.told) from None

    monkeypatch.setattr(policy_import, "try_policy", run)


def golden(**changes: Any) -> dict[str, Any]:
    return {"golden": {**GOLDEN_PAIRS, **changes}}


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"format_version": 2}, "format_version", "2 is not read"),
        ({"format_version": True}, "format_version", "True is not read"),
        ({"format_version": "1"}, "format_version", "is not read"),
        ({"format_version": None}, "format_version", "None is not read"),
        ({"environment_id": None}, "environment_id", "Field required"),
        ({"environment_id": ""}, "environment_id", "pattern"),
        ({"environment_id": "a b<script>"}, "environment_id", "pattern"),
        ({"environment_id": "x" * 200}, "environment_id", "pattern"),
        ({"environment_kwargs": []}, "environment_kwargs", "dictionary"),
        ({"observation_space": "box"}, "observation_space", "dictionary"),
        ({"observation_space": {}}, "observation_space", "a space of type"),
        ({"observation_space": {"type": "rope"}}, "observation_space", "a space of type"),
        ({"observation_space": {**BOX, "shape": [10**12]}}, "observation_space", "too large"),
        ({"observation_space": {**BOX, "shape": [0]}}, "observation_space", "below 1"),
        ({"observation_space": {**BOX, "shape": [-3]}}, "observation_space", "below 1"),
        ({"observation_space": {**BOX, "shape": [2**62] * 32}}, "observation_space", "too large"),
        ({"observation_space": {**BOX, "shape": [1] * 33}}, "observation_space", "33 sizes"),
        ({"observation_space": {**BOX, "shape": "3"}}, "observation_space", "list of integers"),
        ({"observation_space": {**BOX, "dtype": "O"}}, "observation_space", "no number type"),
        ({"observation_space": {**BOX, "dtype": 3}}, "observation_space", "no number type"),
        ({"observation_space": {**BOX, "low": ["a"] * 3}}, "observation_space", "expected"),
        ({"observation_space": {**BOX, "shape": [2]}}, "observation_dim", "allowed: 2"),
        (
            {"observation_space": {"type": "tuple", "spaces": [BOX] * 40}},
            "observation_space",
            "too large",
        ),
        (
            {"action_space": MultiBinary((10**9,)).to_json()},
            "action_space",
            "too large",
        ),
        ({"action_space": {**ACTIONS, "high": "inf"}}, "action_space", "finite action bounds"),
        ({"action_space": {"type": "discrete", "n": 10**12, "start": 0}}, "action_dim", "is not"),
        ({"action_space": {"type": "tuple", "spaces": []}}, "action_space", "Discrete"),
        ({"observation_dim": 4}, "observation_dim", "4 is not that of observation_space"),
        ({"observation_dim": 3.0}, "observation_dim", "integer"),
        ({"action_dim": 3}, "action_dim", "3 is not that of golden.outputs"),
        ({"action_dim": 2**60}, "action_dim", "is not that of golden.outputs"),
        ({"observation_kind": "sound"}, "observation_kind", "'vector' or 'pixels'"),
        ({"history": 2}, "history", "not what observation_space has"),
        ({"history": 17}, "history", "less than or equal to 16"),
        ({"masked": 1}, "masked", "boolean"),
        ({"exploration_noise": -1.0}, "exploration_noise", "greater than or equal to 0"),
        ({"exploration_noise": "0.2"}, "exploration_noise", "number"),
        ({"algorithm": "sarsa"}, "algorithm", "'mrq', 'dqn'"),
        ({"hyperparameters": {"a": "b"}}, "hyperparameters.a.", "boolean"),
        ({"step": -1}, "step", "greater than or equal to 0"),
        ({"step": 2**60}, "step", "less than or equal"),
        ({"weights_sha256": "ab"}, "weights_sha256", "pattern"),
        ({"golden": None}, "golden", "Field required"),
        (golden(observations=[]), "golden.observations", "at least 1"),
        (golden(observations=[[0.0] * 3] * 1_025), "golden.observations", "at most 1024"),
        (golden(observations=[[0.0] * 3, [0.0]]), "golden.observations", "several lengths"),
        (golden(observations=[["a"] * 3] * 3), "golden.observations", "not finite numbers"),
        (golden(observations=[[2**70] * 3] * 3), None, "64"),
        (golden(outputs=[[0.0]] * 3), "action_dim", "allowed: 1"),
        (golden(outputs=[[0.0] * 2] * 2), "golden.outputs", "has shape [2, 2]"),
        (golden(outputs=[[0.0] * 2] * 4), "golden.outputs", "more than 6 parts"),
        (golden(outputs=[[0.0] * 2] * 1_025), "golden.outputs", "at most 1024"),
        (golden(observations=[[0.0] * 3, ["a"], []]), "golden.observations", "not finite numbers"),
        (golden(observations=[[0.0] * 3, 0.0]), "golden.observations", "not finite numbers"),
        (golden(actions=[[0.0] * 3] * 3), "golden.actions", "more than 6 parts"),
        (golden(actions=[]), "golden.actions", "has shape [0]"),
        ({"seen": {"low": [0.0], "high": [0.0] * 3}}, "seen.low", "has shape [1]"),
        ({"seen": {"low": [0.0] * 4, "high": [0.0] * 3}}, "seen.low", "more than 3 parts"),
        ({"seen": {"low": [0.0] * 3}}, "seen.high", "Field required"),
        ({"model": {"sha256": "x"}}, "model.sha256", "pattern"),
        ({"note": "\ud800"}, None, "cannot be stored"),
        ({"note": 2**70}, None, "cannot be stored"),
        ({"note": "a\x00b"}, None, "NUL"),
    ],
)
def test_a_mistake_in_the_description_is_named(
    refused: Callable[..., Any], changes: Any, field: str | None, said: str
) -> None:
    problem = refused(policy_files(**changes))
    assert problem["param"] == MANIFEST
    told = problem.get("field")
    assert told == field if field is None or not field.endswith(".") else told.startswith(field)
    assert said in problem["detail"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"[]", "no object"),
        (b'{"a": NaN}', "finite"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b"\xff", "not UTF-8"),
        (b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "nested too deeply"),
        (b"\x80\x04\x95", "not UTF-8"),
    ],
)
def test_a_description_that_is_no_strict_json(
    refused: Callable[..., Any], content: bytes, said: str
) -> None:
    problem = refused({**policy_files(), MANIFEST: content})
    assert problem["param"] == MANIFEST
    assert said in problem["detail"]


def test_a_file_that_is_missing_unknown_or_comes_twice(
    refused: Callable[..., Any], client: TestClient
) -> None:
    files = policy_files()
    for name in files:
        assert refused({other: files[other] for other in files if other != name})["param"] == name
    for name in ("policy.pkl", "../policy.onnx", "weights.bin", "README.md", "x" * 300):
        told = refused({**files, name: b"x"})
        assert "only ONNX and JSON are taken, never pickles or archives" in told["detail"]
    twice = [(GRAPH, (GRAPH, files[GRAPH]))] * 2
    assert "came twice" in client.post(PATH, files=twice).json()["detail"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"name": "../x"}, "name"),
        ({"name": "pol_1"}, "name"),
        ({"name": ""}, "name"),
        ({"sha256": "ab"}, "sha256"),
        ({"version": "3"}, "version"),
    ],
)
def test_a_bad_query(
    client: TestClient, database: Database, query: dict[str, str], param: str
) -> None:
    answer = post(client, policy_files(), **query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["param"] == param
    assert set(row_counts(database).values()) == {0}


def test_the_hash_that_is_stated_is_compared(refused: Callable[..., Any]) -> None:
    problem = refused(policy_files(), sha256="ab" * 32)
    assert (problem["param"], problem["allowed"]) == (GRAPH, "ab" * 32)


def test_a_name_must_come_of_the_environment(refused: Callable[..., Any]) -> None:
    assert refused(policy_files(environment_id="x" * 128))["param"] == "name"


def test_what_is_too_large(
    make_client: Callable[[], TestClient], database: Database, settings: Settings
) -> None:
    settings.max_body_bytes, settings.max_policy_bytes = 1_000, 10_000
    client = make_client()
    files = policy_files()
    assert post(client, files).status_code == 201
    before = row_counts(database)
    answer = post(client, {**files, GRAPH: b"x" * 20_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert "MRQ_MAX_POLICY_BYTES" in answer.json()["detail"]
    settings.max_policy_bytes = 64 << 20
    answer = post(make_client(), {MANIFEST: b" " * (policy_import.MANIFEST_BYTES + 1)})
    assert (answer.status_code, answer.json()["param"]) == (413, MANIFEST)
    assert row_counts(database) == before


def test_no_more_wait_in_memory_than_four(
    make_client: Callable[[], TestClient], monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(policy_import, "MAX_IMPORTS", 1)
    begun, may_end = threading.Event(), threading.Event()

    def try_slowly(*_: object) -> None:
        begun.set()
        assert may_end.wait(30)

    monkeypatch.setattr(policy_import, "try_policy", try_slowly)
    client = make_client()
    first = threading.Thread(target=post, args=(client, policy_files()))
    first.start()
    assert begun.wait(30)
    answer = post(client, policy_files())
    before = row_counts(database)
    may_end.set()
    first.join()
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_imports")
    assert answer.headers["retry-after"]
    assert set(before.values()) == {0}
    assert post(client, policy_files()).status_code == 200  # the first one's


def test_without_the_key_nothing_is_taken(stranger: TestClient, database: Database) -> None:
    assert post(stranger, policy_files()).status_code == 401
    assert set(row_counts(database).values()) == {0}


def test_what_is_no_form(client: TestClient) -> None:
    answer = client.post(PATH, json={})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    form = {"Content-Type": "multipart/form-data; boundary=XX"}
    answer = client.post(PATH, content=b"--XX", headers=form)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (golden(outputs=(np.array(GOLDEN_PAIRS["outputs"]) + 1e-3).tolist()), "off by 0.001"),
        (golden(actions=(np.array(GOLDEN_PAIRS["actions"]) + 0.1).tolist()), "not the recorded"),
        (golden(actions=[0.0] * 3), "not the recorded"),
        (golden(observations=(GOLDEN + 0.5).tolist()), "off by"),
    ],
)
def test_golden_pairs_must_hold(
    refused: Callable[..., Any], in_process: None, changes: Any, said: str
) -> None:
    problem = refused(policy_files(**changes))
    assert problem["param"] == GRAPH
    assert said in problem["detail"]


def of_a_model(told: dict[str, Any], model: bytes | None = None) -> Files:
    bundle = learned(CONTINUOUS).bundle
    assert bundle.model is not None
    model = bundle.model if model is None else model
    facts = {**bundle.manifest["model"], "sha256": sha256(model), **told}
    files = files_of(bundle)
    manifest = json.dumps(bundle.manifest | {"model": facts}).encode()
    return {**files, MANIFEST: manifest, MODEL: model}


def test_a_model_must_predict_as_it_did(refused: Callable[..., Any], in_process: None) -> None:
    pairs = learned(CONTINUOUS).bundle.manifest["model"]["golden"]
    wrong = {"golden": {**pairs, "q": (np.array(pairs["q"]) + 1).tolist()}}
    problem = refused(of_a_model(wrong))
    assert (problem["param"], "its q is off by" in problem["detail"]) == (MODEL, True)
    assert refused(of_a_model({"sha256": "ab" * 32}))["allowed"] == "ab" * 32
    assert "inputs" in refused(of_a_model({}, linear_bundle().onnx))["detail"]
    assert refused({**policy_files(), MODEL: linear_bundle().onnx})["param"] == MODEL
    shape = {"golden": {**pairs, "q": [[1.0]] * len(pairs["q"])}}
    assert refused(of_a_model(shape))["field"] == "model.golden.q"
