"""Observations and actions as the bytes of an array."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from mrq_core.spaces import Dict, Discrete, MultiDiscrete
from store.database import Database
from store.settings import Settings
from tests.app.bundles import DISCRETE, OBSERVATION, linear_bundle, pixel_bundle
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

RAW, NPY = "application/octet-stream", "application/x-npy"
SHAPE = (3, 40, 36)
ROWS = np.random.default_rng(5).standard_normal((4, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


@pytest.fixture
def seen(database: Database, settings: Settings) -> None:
    trained_job(database, settings, pixel_bundle(2, SHAPE), name="seen")


def post(client: TestClient, reference: str, content: bytes, headers: dict[str, str]) -> Any:
    return client.post(f"/policies/{reference}/act", content=content, headers=headers)


def raw(client: TestClient, array: NDArray[Any], reference: str = "swing", **more: str) -> Any:
    little = array.astype(array.dtype.newbyteorder("<"))
    headers = {
        "Content-Type": RAW,
        "X-Shape": ",".join(map(str, array.shape)),
        "X-Dtype": array.dtype.name,
    }
    more = {name.replace("_", "-"): value for name, value in more.items()}
    return post(client, reference, little.tobytes(), headers | more)


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_json(client: TestClient, value: Any, reference: str = "swing") -> Any:
    field = "observations" if np.ndim(value) > 1 else "observation"
    return client.post(f"/policies/{reference}/act", json={field: np.asarray(value).tolist()})


@pytest.mark.parametrize("rows", [ROWS, ROWS[0]], ids=["batch", "one"])
def test_all_forms_give_the_same_bits(client: TestClient, rows: NDArray[Any]) -> None:
    answer = as_json(client, rows).json()
    expected = np.array(answer.get("actions", answer.get("action")), np.float32)

    in_raw = raw(client, rows)
    assert in_raw.headers["content-type"] == RAW
    assert in_raw.headers["x-dtype"] == "float32"
    shape = tuple(map(int, in_raw.headers["x-shape"].split(",")))
    assert shape == expected.shape
    assert in_raw.content == expected.tobytes()
    assert in_raw.headers["x-policy-id"] == answer["policy_id"]
    assert in_raw.headers["x-policy-version"] == "1"

    in_npy = post(client, "swing", npy(rows), {"Content-Type": NPY})
    assert np.array_equal(np.load(io.BytesIO(in_npy.content)), expected)
    assert np.load(io.BytesIO(in_npy.content)).shape == expected.shape


def test_accept_chooses_the_answers_form(client: TestClient) -> None:
    expected = as_json(client, ROWS).json()["actions"]
    assert raw(client, ROWS, Accept="application/json").json()["actions"] == expected
    both = {"Content-Type": "application/json", "Accept": f"text/html, {NPY};q=0.9"}
    answer = client.post("/policies/swing/act", json={"observations": ROWS.tolist()}, headers=both)
    assert np.load(io.BytesIO(answer.content)).tolist() == expected
    assert raw(client, ROWS, Accept="text/html").headers["content-type"] == RAW


def test_pixels_are_stacked_frames(client: TestClient, seen: None) -> None:
    frames = np.zeros((3, 2, *SHAPE), np.uint8)
    frames[0, 1, :, 0] = 255  # a bright first row of the newest frame: the first action
    frames[1, 0] = 255
    frames[2, 1, :, 0], frames[2, 0] = 9, 8
    answer = raw(client, frames, "seen")
    assert answer.status_code == 200, answer.text
    actions = np.frombuffer(answer.content, answer.headers["x-dtype"])
    assert actions.tolist() == as_json(client, frames, "seen").json()["actions"]
    assert actions.tolist()[:2] == [0, 1]
    one = raw(client, frames[1], "seen")
    assert (one.headers["x-shape"], np.frombuffer(one.content, "int64").tolist()) == ("", [1])


@pytest.mark.parametrize("dtype", ["float64", "int16", "uint8"])
def test_other_numbers_are_converted(client: TestClient, dtype: str) -> None:
    rows = np.array([[1, 0, 2]], dtype)
    assert (
        raw(client, rows, Accept="application/json").json()["actions"]
        == (as_json(client, rows).json()["actions"])
    )


def test_numbers_that_a_space_of_bytes_cannot_hold(client: TestClient, seen: None) -> None:
    for value, code in ((0.5, "observation_dtype"), (256.0, "observation_out_of_range")):
        frames = np.full((2, *SHAPE), value, np.float32)
        answer = raw(client, frames, "seen")
        assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_the_other_fields_are_headers(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, linear_bundle(DISCRETE), name="choice")
    body = {"observations": ROWS.tolist(), "mode": "sample", "seed": 7, "action_mask": [0, 1]}
    expected = client.post("/policies/choice/act", json=body).json()["actions"]
    options = {"X_Mode": "sample", "X_Seed": "7", "X_Action_Mask": "[0, 1]", "X_Deadline_Ms": "9e3"}
    answer = raw(client, ROWS, "choice", **options, Accept="application/json")
    assert answer.json()["actions"] == expected == [1, 1, 1, 1]
    assert answer.json()["mode"] == "sample"


def test_a_discrete_observation_is_a_number(
    client: TestClient, database: Database, settings: Settings
) -> None:
    space = Discrete(3).to_json()
    trained_job(database, settings, linear_bundle(observation_space=space), name="cells")
    one = raw(client, np.array(1), "cells", Accept="application/json").json()["action"]
    assert one == as_json(client, 1, "cells").json()["action"]
    batch = raw(client, np.array([1, 2]), "cells", Accept="application/json").json()["actions"]
    assert batch[0] == one
    for array, code in (
        (np.array(3), "observation_out_of_range"),
        (np.array(1.0), "observation_dtype"),
        (np.array([[1, 2]]), "observation_shape_mismatch"),
    ):
        assert raw(client, array, "cells").json()["code"] == code


def test_a_space_of_parts_has_no_array(
    client: TestClient, database: Database, settings: Settings
) -> None:
    parts = Dict((("a", Discrete(2)), ("b", MultiDiscrete((1,), (0,), (1,)))))
    trained_job(database, settings, linear_bundle(observation_space=parts.to_json()), name="parts")
    answer = raw(client, np.zeros(3, np.float32), "parts")
    assert (answer.status_code, answer.json()["code"]) == (422, "binary_unsupported")
    assert OBSERVATION.shape == (3,)


FLOATS = ROWS[0].tobytes()


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (FLOATS[:-1], {}, "binary_size_mismatch"),
        (FLOATS + b"\0", {}, "binary_size_mismatch"),
        (b"", {}, "binary_size_mismatch"),
        (FLOATS, {"X-Shape": "1,3,1"}, "observation_shape_mismatch"),
        (FLOATS[:8], {"X-Shape": "2"}, "observation_shape_mismatch"),
        (FLOATS[:4], {"X-Shape": ""}, "observation_shape_mismatch"),
        (b"", {"X-Shape": "0,3"}, "batch_size"),
        (FLOATS * 257, {"X-Shape": "257,3"}, "batch_size"),
        (FLOATS, {"X-Shape": "three"}, "shape_invalid"),
        (b"", {"X-Shape": "0,10000000,10000000,10000000"}, "shape_invalid"),
        (FLOATS, {"X-Shape": "-3"}, "shape_invalid"),
        (FLOATS, {"X-Shape": "3,"}, "shape_invalid"),
        (FLOATS, {"X-Shape": "99999999999999999999"}, "shape_invalid"),
        (FLOATS, {"X-Shape": "1,1,1,1,1,1,1,1,3"}, "shape_invalid"),
        (FLOATS, {"X-Dtype": "object"}, "observation_dtype"),
        (FLOATS, {"X-Dtype": "complex64"}, "observation_dtype"),
        (np.array([0, np.nan, 0], np.float32).tobytes(), {}, "observation_not_finite"),
        (np.array([0, -np.inf, 0], np.float32).tobytes(), {}, "observation_not_finite"),
        (np.array([0, 1e300, 0]).tobytes(), {"X-Dtype": "float64"}, "observation_not_finite"),
        (FLOATS, {"X-Mode": "random"}, "mode_unsupported"),
        (FLOATS, {"X-Seed": "x"}, "header_invalid"),
        (FLOATS, {"X-Deadline-Ms": "0"}, "deadline_invalid"),
        (FLOATS, {"X-Action-Mask": "[1, 1]"}, "mask_unsupported"),
    ],
)
def test_raw_bytes_that_are_no_observation(
    client: TestClient, content: bytes, headers: dict[str, str], code: str
) -> None:
    answer = post(client, "swing", content, {"Content-Type": RAW, "X-Shape": "3"} | headers)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_raw_body_without_its_shape(client: TestClient) -> None:
    answer = post(client, "swing", FLOATS, {"Content-Type": RAW})
    assert (answer.status_code, answer.json()["code"]) == (422, "shape_invalid")


def header(text: str) -> bytes:
    """An npy file of this header and nothing else."""
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        npy(ROWS)[:-1],
        npy(ROWS) + b"\0",
        npy(ROWS)[:20],
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 10**9), }"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999), }"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }"),
        header("__import__('os').system('true')"),
        header("(" * 100),
        npy(np.zeros(3, [("a", "f4")])),
    ],
)
def test_what_is_no_npy(client: TestClient, content: bytes) -> None:
    answer = post(client, "swing", content, {"Content-Type": NPY})
    assert (answer.status_code, answer.json()["code"]) == (422, "npy_invalid"), answer.text


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["a"]), np.zeros(3, np.complex64)])
def test_an_npy_of_other_things_than_numbers(client: TestClient, array: NDArray[Any]) -> None:
    """Objects would be a pickle, which is code."""
    answer = post(client, "swing", npy(array), {"Content-Type": NPY})
    assert (answer.status_code, answer.json()["code"]) == (422, "observation_dtype")


def test_an_npy_in_any_order_of_bytes_and_dimensions(client: TestClient) -> None:
    expected = post(client, "swing", npy(ROWS), {"Content-Type": NPY}).content
    for array in (np.asfortranarray(ROWS), ROWS.astype(">f4")):
        assert post(client, "swing", npy(array), {"Content-Type": NPY}).content == expected
