"""The short way of reading a request gives what the long one does, or nothing."""

from typing import Any

import numpy as np
import orjson
import pytest

from app.refusals import ActRefused, MalformedBody
from app.serving.observation import read_rows
from app.serving.requests import read_request
from app.serving.typed_json import TypedReader
from mrq_core.spaces import Box, Discrete, Space

MAX_BATCH = 4
VECTOR = Box((-1.0,) * 3, (1.0,) * 3, (3,))
MATRIX = Box((-1.0,) * 4, (1.0,) * 4, (2, 2))
NUMBER = Box((-1.0,), (1.0,), (), "float64")
BYTES = Box((0,) * 3, (255,) * 3, (3,), "uint8")


def long_way(space: Space, body: bytes) -> Any:
    try:
        asked = read_request(body)
        return read_rows(space, asked.value, asked.is_batch, MAX_BATCH), asked
    except (ActRefused, MalformedBody):
        return None


@pytest.mark.parametrize(
    ("space", "text", "taken"),
    [
        (VECTOR, '{"observation": [1, 0.1, -2e-3]}', True),
        (VECTOR, '{"observation": [1, 2, 3], "mode": "deterministic", "deadline_ms": 5}', True),
        (VECTOR, '{"observations": [[0.1, 0.2, 0.3], [1, 2, 3]]}', True),
        (VECTOR, '{"observation": [0, 0, 3.4e38]}', True),
        (VECTOR, '{"observation": [0, 0, 3.4028235e38]}', True),  # it rounds to the largest
        (VECTOR, '{"observation": [0, 0, 1' + "0" * 30 + "]}", True),
        (VECTOR, '{"observation": [9007199254740993, 0.30000000000000004, 1e-320]}', True),
        (MATRIX, '{"observation": [[1, 2], [3, 4]]}', True),
        (MATRIX, '{"observations": [[[1, 2], [3, 4]]]}', True),
        (NUMBER, '{"observation": 0.1}', True),
        (NUMBER, '{"observations": [0.1, 2]}', True),
        (VECTOR, '{"observation": [1, 2, 3], "mode": "sample"}', False),
        (VECTOR, '{"observation": [1, 2, 3], "return": ["latent"]}', False),
        (VECTOR, '{"observation": [1, 2, 3], "action_mask": null}', False),
        (BYTES, '{"observation": [1, 2, 3]}', False),
        (Discrete(3), '{"observation": 1}', False),
    ],
)
def test_what_it_reads_is_the_same(space: Space, text: str, taken: bool) -> None:
    short = TypedReader(space, MAX_BATCH).read(text.encode())
    assert (short is not None) == taken
    if short is not None:
        rows, asked = short
        (expected, is_batch), expected_asked = long_way(space, text.encode())
        assert rows.dtype == np.float32
        assert rows.tobytes() == expected.tobytes()
        assert rows.shape == expected.shape
        assert (asked.is_batch, asked.mode) == (is_batch, expected_asked.mode)
        assert asked.deadline_ms == expected_asked.deadline_ms


@pytest.mark.parametrize("space", [VECTOR, MATRIX, NUMBER])
@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "{}", "null", '{"observation": null}', '{"observation": [1, 2]}',
        '{"observation": [1, 2, 3, 4]}', '{"observation": [[1, 2, 3]]}', '{"observation": []}',
        '{"observation": [[], []]}', '{"observation": [[1, 2], [3]]}', '{"observations": []}',
        '{"observations": [[1, 2, 3]], "observation": [1, 2, 3]}',
        '{"observations": [[1, 2, 3], [1, 2]]}', '{"observation": ["1", 2, 3]}',
        '{"observation": [true, 2, 3]}', '{"observation": [null, 2, 3]}',
        '{"observation": [NaN, 2, 3]}', '{"observation": [1e39, 0, 0]}',
        '{"observation": [-1e39, 0, 0]}', '{"observation": [[1e39, 0], [0, 0]]}',
        '{"observation": 1e39}', '{"observation": [1e999, 0, 0]}',
        '{"observation": [1' + "0" * 400 + ', 0, 0]}', '{"observation": [1, 2, 3], "x": 1}',
        '{"observation": [1, 2, 3], "deadline_ms": 0}',
        '{"observation": [1, 2, 3], "deadline_ms": 1e9}',
        '{"observation": [1, 2, 3], "deadline_ms": true}',
        '{"observation": [1, 2, 3]} x', "[" * 5000, '{"observation": ' + "[" * 5000,
    ],
)  # fmt: skip
def test_what_the_long_way_refuses_it_does_not_read(space: Space, text: str) -> None:
    assert long_way(space, text.encode()) is None
    assert TypedReader(space, MAX_BATCH).read(text.encode()) is None


def test_a_batch_that_is_too_large() -> None:
    body = orjson.dumps({"observations": [[0, 0, 0]] * (MAX_BATCH + 1)})
    assert TypedReader(VECTOR, MAX_BATCH).read(body) is None
    assert TypedReader(VECTOR, MAX_BATCH + 1).read(body) is not None


def test_bytes_that_are_no_utf_8() -> None:
    assert TypedReader(VECTOR, MAX_BATCH).read(b'{"observation": "\xff"}') is None
