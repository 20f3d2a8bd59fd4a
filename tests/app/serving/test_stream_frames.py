"""The short way of reading a frame gives what the long one does."""

import json
import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from app.errors import problem_of
from app.serving.history import FrameForm
from app.serving.stream_frames import FrameReader, FrameRefused, ResetFrame, StepFrame
from app.serving.stream_wire import JSON, MSGPACK, Wire, choose_wire
from mrq_core.spaces import Box, Dict, Discrete, MultiBinary, Space

SPACES: list[Space] = [
    Box((-1.0,) * 3, (1.0,) * 3, (3,)),
    Box((-1.0,) * 3, (1.0,) * 3, (3,), "float64"),
    Box((-1.0,) * 4, (1.0,) * 4, (2, 2)),
    Box((-1.0,), (1.0,), ()),
    Box((0,) * 3, (255,) * 3, (3,), "uint8"),
    Box((0,) * 3, (1,) * 3, (3,), "bool"),
    Discrete(3),
    MultiBinary((3,)),
    Dict((("a", Discrete(2)),)),
]
OBSERVATIONS: list[Any] = [
    [0.5, -1, 2], [0.1, 0.2, 0.30000000000000004], [1, 0, 1], [True, False, True], [0, 0, 256],
    [1e39, 0, 0], [3.4028234e38, 0, 0], [3.4028234e38, -3.4028234e38, 0], [3.5e38, 0, 0],
    [1, 2], [1, 2, 3, 4], [[1, 2, 3]], [[0.5, 2], [3, 4]], [[1, 2], [3]], [], [[]], ["1", 2, 3],
    [None, 2, 3], None, 0.5, 1, 2, 3, -1, True, "x", {}, {"a": 1}, {"a": 2}, {"b": 1}, 2**63, 2**64,
]  # fmt: skip
NAN, INFINITE = float("nan"), float("inf")
PACKED: list[Any] = [
    NAN, [NAN, 0, 0], [INFINITE, -INFINITE, 0], b"", b"\1\0\1", b"\0\0\3", b"\0" * 16, b"\0" * 7,
    struct.pack("<3f", 1, 2, 3), struct.pack("<3f", 1, NAN, 3), struct.pack("<f", 7),
    struct.pack("<3d", 1, 2, 3), struct.pack("<3d", 1, 1e39, 3), struct.pack("<3d", 1, INFINITE, 3),
]  # fmt: skip
MORE: list[dict[str, Any]] = [
    {}, {"t": 2**53 - 1}, {"t": 2**53}, {"t": -1}, {"t": 1.0}, {"t": True}, {"t": None}, {"t": "0"},
    {"mode": "sample"}, {"mode": "sample", "seed": 3}, {"seed": 3}, {"seed": None}, {"mode": None},
    {"mode": "sample", "seed": -1}, {"mode": "sample", "seed": 2**53}, {"deadline_ms": 5},
    {"deadline_ms": 0.5}, {"deadline_ms": 0}, {"deadline_ms": 60_001}, {"deadline_ms": None},
    {"log": True}, {"log": None}, {"log": 1}, {"action_mask": [1]}, {"action_mask": None},
    {"reward": 1}, {"reward": 1.5, "terminated": True, "truncated": False}, {"reward": None},
    {"terminated": True}, {"truncated": False}, {"reward": 1, "terminated": 1}, {"reward": True},
    {"reward": 2**63}, {"x": 1}, {"type": "reset"}, {"type": None}, {"session_id": "x"},
]  # fmt: skip


def told(read: Any, data: Any) -> Any:
    try:
        frame = read(data)
    except FrameRefused as refused:
        problem = problem_of(refused.why)
        return refused.t, problem.code, problem.param, problem.detail
    if isinstance(frame, ResetFrame):
        return frame
    assert isinstance(frame, StepFrame)
    row = frame.row
    assert row.dtype == np.float32
    assert len(row) == 1
    asked = frame.asked
    rest = (asked.mode, asked.seed, asked.mask, asked.log, asked.is_batch)
    return frame.t, row.shape, row.tobytes(), frame.deadline_ms, frame.outcome, rest


def written(wire: Wire, frame: dict[str, Any]) -> Any:
    return json.dumps(frame) if wire is JSON else msgspec.msgpack.encode(frame)


@pytest.mark.parametrize("wire", [JSON, MSGPACK])
def test_both_ways_read_the_same(wire: Wire) -> None:
    taken = 0
    for space in SPACES:
        reader = FrameReader(FrameForm(space, 1), wire)
        observations = OBSERVATIONS + (PACKED if wire is MSGPACK else [])
        frames = [{"t": 0, "observation": each} for each in observations if fits(wire, each)]
        frames += [{"t": 0, "observation": [1, 0, 1]} | more for more in MORE]
        for frame in frames:
            data = written(wire, frame)
            short, long = told(reader.read, data), told(reader._read_any, data)
            assert short == long, (space, frame)
            taken += type(short[1]) is tuple if isinstance(short, tuple) else 0
    assert taken > 100


def fits(wire: Wire, value: Any) -> bool:
    """MessagePack has no integers beyond 64 bits."""
    return wire is JSON or value != 2**64


def test_the_first_known_subprotocol_is_taken() -> None:
    assert choose_wire([]) is JSON
    assert choose_wire(["chat", MSGPACK.subprotocol, JSON.subprotocol]) is MSGPACK
