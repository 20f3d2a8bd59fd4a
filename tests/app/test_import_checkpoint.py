"""Checkpoints from elsewhere: what becomes of them, and what is not taken."""

import hashlib
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.garbage import damaged_checkpoints
from store.invariants import broken_invariants
from store.settings import Settings
from store.spec import JobSpec
from store.tensor_file import MAX_HEADER_BYTES, MAX_TENSORS
from tests.app.driving import row_counts
from tests.app.importing import (
    SPEC,
    STEPS,
    Files,
    assert_nothing_remains,
    changed_state,
    changed_tensors,
    post,
)
from tests.buckets import Bucket

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def refused(client: TestClient, database: Database, settings: Settings) -> Callable[..., Any]:
    """Posts, and sees that nothing remains of what is refused."""

    def send(files: Files, spec: Any = SPEC) -> Any:
        answer = post(client, files, spec)
        assert answer.status_code == 422, answer.text
        assert_nothing_remains(database, settings)
        return answer.json()

    return send


def weights(files: Files) -> Files:
    return {name: files[name] for name in ("state.json", "agent.safetensors")}


def test_a_checkpoint_becomes_a_job_that_has_ended(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    answer = post(client, files)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert (job["status"], job["status_reason"]) == ("succeeded", "imported")
    assert (job["progress"]["step"], job["attempt"], job["started_at"]) == (STEPS, 0, None)
    assert job["actions"] == ["extend"]
    assert job["spec"] == JobSpec.model_validate(SPEC).to_json()
    assert client.get(f"/jobs/{job['id']}/attempts").json()["data"] == []
    (row,) = client.get(f"/jobs/{job['id']}/checkpoints").json()["data"]
    assert (row["kind"], row["step"], row["attempt"]) == ("training", STEPS, 0)
    listed = client.get(row["links"]["files"]).json()["data"]
    assert {f["name"]: f["sha256"] for f in listed} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    for name, content in files.items():
        assert client.get(f"{row['links']['files']}/{name}").content == content
    kinds = [event["type"] for event in client.get(f"/jobs/{job['id']}/events").json()["data"]]
    assert kinds == ["status", "checkpoint", "status"]
    assert client.get(f"/ui/jobs/{job['id']}").status_code == 200
    assert broken_invariants(database, settings) == []
    assert list(damaged_checkpoints(database, settings)) == []
    assert [path.name for path in (settings.artifact_dir / job["id"]).iterdir()] == [f"0-{STEPS}"]


def test_it_goes_through_the_object_store_and_leaves_no_copy(
    make_client: Callable[[], TestClient], settings: Settings, bucket: Bucket, files: Files
) -> None:
    settings.artifacts_url = bucket.url
    client = make_client()
    job = post(client, files).json()
    (row,) = client.get(f"/jobs/{job['id']}/checkpoints").json()["data"]
    for name, content in files.items():
        assert client.get(f"{row['links']['files']}/{name}").content == content
    assert [path for path in settings.cache_dir.rglob("*") if path.is_file()] == []
    assert not settings.artifact_dir.exists()


def test_what_the_object_store_does_not_take_leaves_no_row(
    make_client: Callable[[], TestClient],
    database: Database,
    settings: Settings,
    bucket: Bucket,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.artifacts_url = bucket.url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = post(make_client(), files)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unreachable")
    assert set(row_counts(database).values()) == {0}
    assert [path for path in settings.cache_dir.rglob("*") if path.is_file()] == []


def test_weights_alone_are_taken_and_not_extended(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    job = post(client, weights(files)).json()
    assert (job["status"], job["actions"]) == ("succeeded", [])
    answer = client.post(f"/jobs/{job['id']}/extend", json={"total_steps": 10_000})
    assert (answer.status_code, answer.json()["code"]) == (409, "transition_refused")
    assert "weights alone" in answer.json()["detail"]
    assert client.post(f"/jobs/{job['id']}/retry").status_code == 409
    assert broken_invariants(database, settings) == []


def test_weights_made_elsewhere_need_say_little(client: TestClient, files: Files) -> None:
    state: dict[str, Any] = {"format_version": 2, "step": 0}
    state["agent"] = {"training_steps": 0, "reward_scale": 2.5, "target_reward_scale": 2.5}
    made = {**weights(files), "state.json": json.dumps(state).encode()}
    assert post(client, made).status_code == 201


def test_the_same_key_and_content_make_one_job(
    client: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    first = post(client, files, **{"Idempotency-Key": "k"})
    turned = dict(reversed(files.items()))  # and with another boundary
    again = post(client, turned, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = post(client, weights(files), **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert row_counts(database)["jobs"] == 1
    assert len(list(settings.artifact_dir.iterdir())) == 1


def test_an_extension_needs_more_than_was_done(client: TestClient, files: Files) -> None:
    """And no more than its spec asks for, of which nothing was done here."""
    spec = {**SPEC, "budget": {"total_steps": 400, "max_episodes": 1}}
    state = json.loads(files["state.json"])
    state["episode"]["index"] = 2
    job = post(client, changed_state(files, episode=state["episode"]), spec).json()

    def extend(**ends: Any) -> Any:
        return client.post(f"/jobs/{job['id']}/extend", json=ends)

    for ends, param in (
        ({"total_steps": STEPS}, "total_steps"),
        ({"total_steps": 400}, "max_episodes"),
        ({"max_episodes": 2}, "max_episodes"),
    ):
        answer = extend(**ends)
        assert (answer.status_code, answer.json()["param"]) == (422, param)
    assert extend(total_steps=400, max_episodes=3).status_code == 202
    assert client.get(f"/jobs/{job['id']}").json()["status_reason"] == "extended_by_user"


def test_a_target_that_was_reached_elsewhere_is_reached(client: TestClient, files: Files) -> None:
    spec = {**SPEC, "budget": {"total_steps": 400}, "early_stopping": {"target_return": -50.0}}
    job = post(client, changed_state(files, best_return=-40.0), spec).json()
    answer = client.post(f"/jobs/{job['id']}/extend", json={"total_steps": 400})
    assert (answer.status_code, answer.json()["param"]) == (422, "target_return")


# Files that are not what their names say, and headers that lie.


def header(tensors: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def f32(start: int, stop: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def a_zip() -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * 2_000)
    return content.getvalue()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "ends within its length"),
    "a length alone, cut off": (b"\x10\x00\x00", "ends within its length"),
    "a huge header": (header({}, length=2**63 - 1), f"{MAX_HEADER_BYTES} bytes at most"),
    "a header one byte too long": (
        header(b"{}" + b" " * (MAX_HEADER_BYTES - 1)),
        f"length is {MAX_HEADER_BYTES + 1}",
    ),
    "a header beyond the file": (header({}, length=500), "the file is cut off"),
    "a pickle": (pickle.dumps({"weights": [1.0] * 100}, protocol=4), "'a pickle'"),
    "a zip": (a_zip(), "a zip archive"),
    "a .npy": (b"\x93NUMPY\x01\x00" + b"x" * 200, "a .npy file"),
    "no JSON": (header(b"\xff\xfe{}"), "the header is not JSON"),
    "a list": (header([1]), "a JSON object"),
    "deep nesting": (header(b"[" * 500_000), "the header is not JSON"),
    "a number without end": (header(b'{"a": ' + b"9" * 10_000 + b"}"), "the header is not JSON"),
    "metadata with a number": (header({"__metadata__": {"a": 1}}), "texts by name"),
    "overlapping ranges": (
        header({"a": f32(0, 8, 2), "b": f32(4, 12, 2)}, b"x" * 12),
        "begins before the end of another",
    ),
    "the same range twice": (
        header({"a": f32(0, 8, 2), "b": f32(0, 8, 2)}, b"x" * 8),
        "begins before the end of another",
    ),
    "a hole": (
        header({"a": f32(0, 8, 2), "b": f32(12, 20, 2)}, b"x" * 20),
        "belong to no tensor",
    ),
    "bytes at the end": (header({"a": f32(0, 8, 2)}, b"x" * 9), "bytes after the header are 9"),
    "a range beyond the file": (header({"a": f32(0, 4_000, 1_000)}, b"x" * 8), "from 0 to 8"),
    "a range backwards": (header({"a": f32(8, 0, 2)}, b"x" * 8), "in order"),
    "a negative offset": (header({"a": f32(-8, 0, 2)}, b"x" * 8), "whole numbers"),
    "an offset that is true": (
        header({"a": {"dtype": "U8", "shape": [1], "data_offsets": [False, True]}}, b"x"),
        "whole numbers",
    ),
    "a shape whose product overflows": (
        header({"a": f32(0, 0, 2**32, 2**32)}),
        "less than 2**63 bytes",
    ),
    "a product that wraps around to what is there": (
        header({"a": f32(0, 4, 2**62 + 1)}, b"x" * 4),
        "less than 2**63 bytes",
    ),
    "an overflow on the way to 0": (header({"a": f32(0, 0, 2**62, 2**62, 0)}), "2**63 bytes"),
    "a negative length": (header({"a": f32(0, 8, -2)}, b"x" * 8), "whole numbers from 0"),
    "too many dimensions": (header({"a": f32(0, 4, *[1] * 9)}, b"x" * 4), "at most 8"),
    "another size than its shape's": (header({"a": f32(0, 8, 3)}, b"x" * 8), "12 bytes"),
    "an unknown dtype": (header({"a": f32(0, 8, 2, dtype="O8")}, b"x" * 8), "BOOL, U8"),
    "a dtype that is a list": (
        header({"a": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}, b"x" * 8),
        "BOOL, U8",
    ),
    "one field too many": (header({"a": {**f32(0, 8, 2), "x": 1}}, b"x" * 8), "data_offsets, "),
    "a million tensors": (
        header(b"{" + b",".join(b'"%d":0' % i for i in range(1_000_000)) + b"}"),
        f"{MAX_HEADER_BYTES} bytes at most",
    ),
    "one tensor too many": (
        header({str(i): f32(0, 0, 0) for i in range(MAX_TENSORS + 1)}),
        f"{MAX_TENSORS} at most",
    ),
    "a name twice": (
        header(
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
            b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
            b"xx",
        ),
        "stands twice",
    ),
    "many names twice": (
        header(b"{" + b",".join(b'"%d":0' % (i // 2) for i in range(80_000)) + b"}"),
        "stands twice",
    ),
    "a long name": (header({"n" * 257: f32(0, 0, 0)}), "1 to 256"),
    "a name with a line break": (header({"a\nb": f32(0, 0, 0)}), "printable"),
    "no name": (header({"": f32(0, 0, 0)}), "1 to 256"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_by_what_is_wrong(
    refused: Callable[..., Any], files: Files, kind: str
) -> None:
    content, said = HOSTILE[kind]
    for name in ("agent.safetensors", "replay-2.safetensors"):
        problem = refused({**files, name: content})
        assert (problem["code"], problem["param"]) == ("invalid_checkpoint", name)
        assert said in problem["detail"], problem["detail"]
        assert "allowed: " in problem["detail"]
        assert len(problem["detail"]) < 1_000


def test_a_file_that_is_cut_off(refused: Callable[..., Any], files: Files) -> None:
    for name, content in files.items():
        problem = refused({**files, name: content[:-1]})
        assert problem["param"] == name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("file", "tensor"),
    [
        ("agent.safetensors", "value/output.weight"),
        ("agent.safetensors", "optimizer/policy/1/exp_avg"),
        ("replay-2.safetensors", "frame"),
        ("replay.safetensors", "priority"),
        ("episode.safetensors", "frames"),
    ],
)
def test_a_number_that_is_not_finite_is_named(
    refused: Callable[..., Any],
    files: Files,
    tmp_path: Path,
    file: str,
    tensor: str,
    value: float,
) -> None:
    from safetensors.numpy import load

    array = load(files[file])[tensor].copy()
    array.flat[-1] = value
    wrong = changed_tensors(files, file, tmp_path, **{tensor.replace("/", "__"): array})
    problem = refused(wrong)
    assert (problem["param"], problem["tensor"]) == (file, tensor)
    assert (problem["value"], problem["allowed"]) == (repr(value), "finite numbers")
    if file == "agent.safetensors":
        refused(weights(wrong))


def test_tensors_that_are_not_the_jobs_own(
    refused: Callable[..., Any], files: Files, tmp_path: Path
) -> None:
    agent, name = "agent.safetensors", "policy__output.weight"
    for change, said in (
        ({name: None}, "is missing"),
        ({name: np.zeros((1, 9), np.float32)}, "allowed: F32 [1, 8]"),
        ({name: np.zeros((1, 8), np.float64)}, "is F64 [1, 8]"),
        ({"other": np.zeros(1, np.float32)}, "none of this job's"),
        ({"generator": np.zeros(1 << 17, np.uint8)}, "65536 at most"),
        ({"generator": np.zeros(4, np.float32)}, "U8 with one dimension"),
    ):
        wrong = changed_tensors(files, agent, tmp_path, **change)
        for sent in (wrong, weights(wrong)):
            problem = refused(sent)
            assert (problem["code"], problem["param"]) == ("invalid_checkpoint", agent)
            assert said in problem["detail"]
    for change in ({"generator": None}, {"optimizer__value__0__step": None}):
        wrong = changed_tensors(files, agent, tmp_path, **change)
        assert "is missing" in refused(wrong)["detail"]
    actions = np.zeros((201, 1), np.float32)
    wrong = changed_tensors(files, "episode.safetensors", tmp_path, actions=actions)
    assert "200 at most" in refused(wrong)["detail"]


def test_files_that_are_missing_or_too_many(refused: Callable[..., Any], files: Files) -> None:
    for name in files:
        problem = refused({key: content for key, content in files.items() if key != name})
        assert problem["param"] == name
        assert "missing" in problem["detail"]
    extra = {**files, "replay-9.safetensors": files["replay-2.safetensors"]}
    assert refused(extra)["param"] == "replay-9.safetensors"
    assert refused(files, None)["param"] == "spec"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": 1}, "format_version=1 is not read by this release; allowed: 2"),
        ({"format_version": 3}, "format_version=3"),
        ({"format_version": "2"}, 'format_version="2"'),
        ({"format_version": True}, "format_version=true"),
        ({"format_version": None}, "format_version=null"),
        ({"step": -1}, "step=-1"),
        ({"step": STEPS + 1}, f"at least {STEPS + 1}"),
        ({"step": 2**70}, "step="),
        ({"step": 1.5}, "step=1.5"),
        ({"agent": {"train": 1}}, "agent."),
        ({"surprise": 1}, "surprise=1"),
        ({"replay_rng": {"bit_generator": "MT19937"}}, "replay_rng.bit_generator"),
        ({"episode": None}, "episode missing"),
        ({"progress": {"means": {"a": [1.0]}, "totals": {}}}, "progress.means.a"),
        ({"progress": {"means": {"a": [1.0, 0]}, "totals": {}}}, "progress.means.a"),
        ({"spec_sha256": "ab"}, "spec_sha256='ab'"),
    ],
)
def test_a_state_that_a_trainer_would_stumble_over(
    refused: Callable[..., Any], files: Files, change: dict[str, Any], said: str
) -> None:
    problem = refused(changed_state(files, **change))
    assert problem["param"] in ("state.json", "spec")
    assert said in problem["detail"], problem["detail"]


def test_counters_that_would_ask_for_memory(refused: Callable[..., Any], files: Files) -> None:
    replay = json.loads(files["state.json"])["replay"]
    for change in (
        {"head": 2**53},
        {"head": replay["head"] - 1},
        {"head": -1},
        {"segment_slots": 1},
        {"segment_slots": 10**9},
        {"episode_length": replay["head"] + 1},
    ):
        refused(changed_state(files, replay=replay | change))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "UTF-8"),
        (b"{", "not JSON"),
        (b"[]", "a JSON object"),
        (b'{"step": NaN}', "NaN"),
        (b'{"step": 1e999}', "1e999"),
        (b'{"step": 1, "step": 2}', "twice"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "nested too deeply"),
        (b"[" * 900_000, "nested too deeply"),
    ],
)
def test_a_state_that_is_no_strict_json(
    refused: Callable[..., Any], files: Files, content: bytes, said: str
) -> None:
    problem = refused({**files, "state.json": content})
    assert (problem["code"], problem["param"]) == ("invalid_checkpoint", "state.json")
    assert said in problem["detail"]


def test_the_spec_must_be_that_of_the_run(refused: Callable[..., Any], files: Files) -> None:
    for change, said in (
        ({"seed": 4}, "seed=4"),
        ({"environment": {"id": "Pendulum-v1", "kwargs": {"g": 9.0}}}, "environment_kwargs"),
    ):
        problem = refused(files, {**SPEC, **change})
        assert (problem["code"], problem["param"]) == ("invalid_input", "spec")
        assert said in problem["detail"]
    other = {**SPEC, "environment": {"id": "CartPole-v1"}}
    assert "environment_id" in refused(weights(files), other)["detail"]
    assert refused(files, {**SPEC, "surprise": 1})["param"] == "surprise"
    assert refused(files, {**SPEC, "budget": {"total_steps": 10**12}})["code"] == "invalid_input"


def test_the_seed_of_weights_alone_is_free(client: TestClient, files: Files) -> None:
    assert post(client, weights(files), {**SPEC, "seed": 4}).status_code == 201
