"""Act requests that end at their connection: what comes back is what the long way gives."""

import time
from contextlib import closing
from itertools import pairwise
from typing import Any

import httpx2
import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from app.service import Service
from app.serving.heads import MAX_HEADS
from store.database import Database
from store.settings import Settings
from tests.app.driving import BEARER, trained_job
from tests.app.serving.wire import OBSERVATION, OCTETS, PATH, RAW, Wire, request

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CHUNKED = b'1d\r\n{"observations":[[1,0.5,1.0]]\r\n1\r\n}\r\n0\r\n\r\n'
CHANGING = {"x-request-id", "server-timing", "content-length", "date"}


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


def comparable(status: int, headers: Any, body: bytes) -> Any:
    kept = {name: value for name, value in headers.items() if name not in CHANGING}
    content: Any = body
    if "json" in kept["content-type"]:
        members = orjson.loads(body).items()
        content = {k: v for k, v in members if k not in ("request_id", "timing")}
    return status, kept, content


CASES: list[tuple[bool, Any, dict[str, str]]] = [
    (True, {"observation": OBSERVATION}, {}),
    (True, {"observation": [1, -0.0, 1e-3]}, {}),
    (True, {"observations": [OBSERVATION] * 5, "deadline_ms": 5000}, {}),
    (True, RAW, OCTETS),
    (True, RAW * 2, OCTETS | {"X-Shape": "2,3"}),
    (True, RAW, OCTETS | {"Accept": "application/json"}),
    (True, {"observation": OBSERVATION}, {"Accept": "application/x-npy"}),
    (False, {"observation": OBSERVATION, "mode": "sample", "seed": 3}, {}),
    (False, {"observation": OBSERVATION, "return": ["probability"]}, {}),
    (False, {"observation": [1.0]}, {}),
    (False, {"observation": [1.0, 2.0, 1e39]}, {}),
    (False, b'{"observation": [1, 2, NaN]}', {}),
    (False, b"{", {}),
    (False, RAW, OCTETS | {"X-Shape": "4"}),
    (False, RAW, OCTETS | {"X-Shape": "x"}),
    (False, RAW, OCTETS | {"X-Mode": "sample", "X-Seed": "3"}),
    (False, np.full(3, np.nan, "<f4").tobytes(), OCTETS),
    (False, {"observation": OBSERVATION}, {"Content-Type": "text/plain"}),
    (False, {"observation": OBSERVATION}, {"Content-Encoding": "gzip"}),
    (False, {"observation": OBSERVATION}, {"Authorization": "Bearer wrong"}),
    (False, b" " * (2 << 20), {}),
]


def test_as_the_long_way_answers(client: TestClient, wire: Wire, taken: list[str]) -> None:
    """Each twice: the second one's head is known."""
    for quickly, body, headers in CASES:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        usual = {"Content-Type": "application/json"} | headers
        long = client.post(PATH, content=content, headers=usual)
        expected = comparable(long.status_code, long.headers, long.content)
        for _ in range(2):
            before = len(taken)
            wire.send(request(body, **headers))
            status, given, answered = wire.answer()
            assert comparable(status, given, answered) == expected, (body, headers)
            assert (len(taken) > before) == quickly, (body, headers)
            if quickly:
                assert taken[-1] == given["x-request-id"]


def some_request(kind: int, rows: int) -> bytes:
    observations = [OBSERVATION] * rows
    match kind:
        case 0:
            return request({"observations": observations})
        case 1:
            return request(RAW * rows, **OCTETS | {"X-Shape": f"{rows},3"})
        case 2:
            return request({"observation": [float(rows)]})
        case 3:
            return request({"observations": observations, "return": ["probability"]})
        case _:
            return request(CHUNKED, length=False, **{"Transfer-Encoding": "chunked"})


def test_any_cut_of_a_stream_gives_the_same(wire: Wire, taken: list[str]) -> None:
    """Up to three requests at a time, the next ones sent ahead, cut anywhere or nowhere."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        asked = [(int(rng.integers(5)), int(rng.integers(1, 5))) for _ in range(rng.integers(1, 4))]
        stream = b"".join(some_request(*each) for each in asked)
        cuts = np.sort(rng.integers(0, len(stream), rng.integers(3))).tolist()
        for begin, end in pairwise([0, *cuts, len(stream)]):
            wire.send(stream[begin:end])
        for kind, rows in asked:
            status, headers, body = wire.answer()
            if kind == 2:
                assert (status, orjson.loads(body)["code"]) == (422, "observation_shape_mismatch")
            elif kind == 1:
                assert (status, headers["x-shape"]) == (200, f"{rows},2")
            else:
                actions = orjson.loads(body)["actions"]
                assert (status, len(actions)) == (200, 1 if kind == 4 else rows)
    assert len(taken) > 5


def test_a_known_head_is_known_by_every_byte(wire: Wire, taken: list[str]) -> None:
    """After many of one kind, one with another key, to another policy, longer, shorter."""
    for _ in range(3):
        wire.send(request())
        assert wire.answer()[0] == 200
    assert len(taken) == 3
    wire.send(request(Authorization="Bearer wrong"))
    assert wire.answer()[0] == 401
    wire.send(request(path="/policies/swang/act"))
    assert wire.answer()[0] == 404
    for observation in ([1.0, 0.5, 0.125], [1.0, 0.5, 0.5]):
        wire.send(request({"observation": observation}))
        assert wire.answer()[0] == 200
    wire.send(request()[:-1], b"}")
    assert wire.answer()[0] == 200
    for each in (request(), request(RAW, **OCTETS)):
        for times in (1, 1, 2):
            wire.send(each * times)
            assert [wire.answer()[0] for _ in range(times)] == [200] * times


def test_a_request_in_a_body_is_a_body(wire: Wire, taken: list[str]) -> None:
    """Even one that was answered before its body came."""
    inner = request()
    wire.send(inner)
    assert wire.answer()[0] == 200
    outer = request(inner, Authorization="Bearer wrong")
    wire.send(outer.removesuffix(inner))
    assert wire.answer()[0] == 401
    wire.send(inner)
    time.sleep(0.05)  # it comes alone
    wire.send(request(path="/policies/swang/act"))
    assert wire.answer()[0] == 404


def test_heads_without_end_are_not_kept(wire: Wire) -> None:
    for number in range(2 * MAX_HEADS):
        wire.send(request(**{"X-Number": str(number)}))
        assert wire.answer()[0] == 200


def test_a_connection_that_ends_with_its_answer(wire: Wire, taken: list[str]) -> None:
    url = wire.url
    for sent in (request(Connection="close"), request(version="1.0")):
        with closing(Wire(url)) as wire:
            wire.send(sent)
            status, headers, _ = wire.answer()
            assert (status, headers["connection"]) == (200, "close")
            assert wire.file.read() == b""


def test_who_waits_to_be_asked_for_the_body_is_asked(wire: Wire) -> None:
    whole = request(Expect="100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    wire.send(head + b"\r\n\r\n")
    assert wire.file.readline() + wire.file.readline() == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(body)
    assert wire.answer()[0] == 200


def test_what_is_no_http_ends_the_connection(wire: Wire, taken: list[str]) -> None:
    wire.send(request())
    wire.answer()
    wire.send(b"POST nonsense\r\n\r\n")
    assert wire.answer()[0] == 400
    assert wire.file.read() == b""


def test_where_requests_are_observed_all_go_the_long_way(
    app: Service, monkeypatch: pytest.MonkeyPatch, wire: Wire, taken: list[str]
) -> None:
    monkeypatch.setitem(app.__dict__, "_is_observed", True)
    assert app.quick() is None
    with closing(Wire(wire.url)) as second:
        second.send(request())
        assert second.answer()[0] == 200
    assert not taken


def test_shadows_see_what_is_answered_here(wire: Wire, taken: list[str]) -> None:
    with httpx2.Client(base_url=wire.url, headers=BEARER) as client:
        checkpoint = client.get("/policies/swing:1").json()["checkpoint_id"]
        client.post("/policies", json={"checkpoint_id": checkpoint, "name": "swing"})
        routes = [{"version": 1, "weight": 1}]
        body = {"routes": routes, "shadow": [2], "expected_revision": None}
        assert client.put("/policies/swing/traffic", json=body).status_code == 200
        wire.send(request(path="/policies/swing/act"))
        status, headers, _ = wire.answer()
        assert (status, headers["x-policy-version"]) == (200, "1")
        assert taken[-1] == headers["x-request-id"]
        seen = 'mrq_shadow_requests_total{policy="swing",version="1",shadow="2"} 1'
        until = time.monotonic() + 20
        while seen not in client.get("/metrics").text.splitlines():
            assert time.monotonic() < until
            time.sleep(0.02)
