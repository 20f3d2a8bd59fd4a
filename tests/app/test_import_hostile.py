"""Checkpoints that are not what they say, each refused by what is wrong with it."""

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
from safetensors.numpy import load
from starlette.testclient import TestClient

from store.tensor_file import MAX_HEADER_BYTES, MAX_TENSORS
from tests.app.importing import (
    SPEC,
    STEPS,
    Files,
    changed_state,
    changed_tensors,
    post,
    weights,
)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


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
