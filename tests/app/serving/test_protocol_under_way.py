"""Act requests that end at their connection, while their pass is under way."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import numpy as np
import orjson
import pytest
import uvicorn

from app.service import Service
from app.serving import bundle
from app.serving.protocol import ActProtocol, Exchange
from mrq_core.spaces import Floats
from store.database import Database
from store.settings import Settings
from tests.app.driving import trained_job
from tests.app.serving.wire import KEY, OBSERVATION, OCTETS, PASSING, PATH, RAW, Gate, Wire, request

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(bundle, "_forward", gate.forward)
    monkeypatch.setattr("app.serving.batching.INLINE_SECONDS", -1.0)
    yield gate
    gate.open.set()


def the_connection(server: uvicorn.Server) -> ActProtocol:
    (connection,) = server.server_state.connections
    assert isinstance(connection, ActProtocol)
    return connection


@contextmanager
def under_way(wire: Wire, gate: Gate) -> Iterator[None]:
    wire.send(request({"observation": PASSING}))  # loads it
    assert wire.answer()[0] == 200
    wire.send(request())
    assert gate.reached.wait(20)
    yield
    gate.open.set()


def test_a_shutdown_waits_for_the_answer(gate: Gate, wire: Wire, server: uvicorn.Server) -> None:
    with under_way(wire, gate):
        connection = the_connection(server)
        server.should_exit = True
        while connection.cycle.keep_alive:
            time.sleep(0.01)
    status, headers, _ = wire.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert wire.file.read() == b""


def test_what_is_sent_ahead_is_answered_after(gate: Gate, wire: Wire) -> None:
    for _ in range(3):
        wire.send(request(RAW.replace(RAW[-4:], RAW[:4]), **OCTETS))
        assert wire.answer()[0] == 200
    with under_way(wire, gate):
        wire.send(request(np.full(3, np.nan, "<f4").tobytes(), **OCTETS))
        time.sleep(0.05)
    assert [wire.answer()[0] for _ in range(2)] == [200, 422]


UPGRADE = (
    f"GET {PATH.removesuffix('act')}stream HTTP/1.1\r\nHost: test\r\nAuthorization: {KEY}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
).encode()


@pytest.mark.parametrize("behind", [request() + b"NONSENSE\r\n\r\n", UPGRADE])
def test_what_ends_a_connection_behind_a_request_ends_no_policy(
    gate: Gate, serve: Callable[[], str], behind: bytes
) -> None:
    url = serve()
    with closing(Wire(url)) as ending, under_way(ending, gate):
        ending.send(behind)
        time.sleep(0.05)
        ending.close()
        time.sleep(0.05)
    with closing(Wire(url)) as wire:
        wire.send(request())
        assert wire.answer()[0] == 200


def test_a_pass_that_fails_is_told_to_all_and_is_not_the_last(
    wire: Wire, taken: list[str], app: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = app.state.policies.at_hand("swing:1")

    def fail(rows: Floats) -> Floats:
        raise RuntimeError("no memory")

    with monkeypatch.context() as broken:
        broken.setattr(policy.batcher, "_forward", fail)
        wire.send(request())
        status, _, body = wire.answer()
        assert (status, orjson.loads(body)["code"]) == (500, "internal_error")
        assert b"no memory" not in body
    wire.send(request())
    assert wire.answer()[0] == 200


def test_a_shutdown_while_the_body_comes_is_not_forgotten(
    wire: Wire, taken: list[str], server: uvicorn.Server
) -> None:
    """Of a request that is given up, too."""
    whole = request({"observation": OBSERVATION, "mode": "sample"})
    wire.send(whole[:-5])
    while (exchange := the_connection(server).cycle).response_complete:
        time.sleep(0.01)
    assert isinstance(exchange, Exchange)
    server.should_exit = True
    while exchange.keep_alive:
        time.sleep(0.01)
    wire.send(whole[-5:])
    status, headers, _ = wire.answer()
    assert (status, headers["connection"]) == (200, "close")


def test_time_runs_from_the_head(wire: Wire, taken: list[str]) -> None:
    whole = request({"observation": OBSERVATION, "deadline_ms": 50})
    wire.send(whole[:-5])
    time.sleep(0.1)
    wire.send(whole[-5:])
    assert wire.answer()[0] == 504


def test_a_client_that_leaves_is_no_trouble(
    gate: Gate, serve: Callable[[], str], server: uvicorn.Server
) -> None:
    url = serve()
    with closing(Wire(url)) as leaving, under_way(leaving, gate):
        leaving.close()
        while server.server_state.connections:
            time.sleep(0.01)
    with closing(Wire(url)) as wire:
        wire.send(request())
        assert wire.answer()[0] == 200


def test_late_and_too_many_are_told_as_everywhere(
    gate: Gate, serve: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.serving.batching.MAX_VALUES_WAITING", 3)
    url = serve()
    with closing(Wire(url)) as first, closing(Wire(url)) as late, closing(Wire(url)) as last:
        with under_way(first, gate):
            late.send(request({"observation": OBSERVATION, "deadline_ms": 1}))
            time.sleep(0.05)
            last.send(request())
            status, headers, body = last.answer()
            assert (status, headers["retry-after"]) == (429, "1")
            assert orjson.loads(body)["code"] == "queue_full"
        assert first.answer()[0] == 200
        status, headers, body = late.answer()
        assert (status, orjson.loads(body)["code"]) == (504, "deadline_exceeded")
        assert orjson.loads(body)["request_id"] == headers["x-request-id"]


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(
    gate: Gate, serve: Callable[[], str], server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.config, "timeout_keep_alive", 0.2)
    with closing(Wire(serve())) as wire:
        for _ in range(4):  # it is counted from the last one
            wire.send(request({"observation": PASSING}))
            assert wire.answer()[0] == 200
            time.sleep(0.12)
        with under_way(wire, gate):
            time.sleep(0.5)
        assert wire.answer()[0] == 200
        assert wire.file.read() == b""
