"""Who may open a stream, and what ends it."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.auth import session_cookie_name
from app.serving.stream_wire import read_in_values
from benchmarks.stream_client import Client
from store.database import Database
from store.keys import make_session
from store.settings import Settings
from tests.app.driving import BEARER, KEY, trained_job
from tests.app.serving.streaming import PACKED, Loop, Server, packed

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def server(serve: Callable[[], str], database: Database, settings: Settings) -> Iterator[Server]:
    trained_job(database, settings, name="swing")
    with closing(Server(serve())) as server:
        yield server


def refused(server: Server, path: str, **how: Any) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as error, server.connect(path, **how):
        pass
    response = error.value.response
    assert response.headers["X-Request-Id"].startswith("req_")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.status_code, json.loads(response.body)["code"]


def test_who_may_not_open_one_gets_an_answer_of_http(server: Server, app: FastAPI) -> None:
    path = "/policies/swing/stream"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
        for each in (path, f"/v1{path}", "/policies/none/stream", "/nothing"):
            assert refused(server, each, headers=headers) == (401, "unauthorized")
    assert refused(server, "/policies/none/stream") == (404, "policy_not_found")
    assert refused(server, path, protocol="chat") == (422, "subprotocol_unsupported")
    app.state.streams._max_streams = 0
    assert refused(server, path) == (429, "too_many_streams")


def test_room_is_asked_for_again_once_the_policy_is_there(
    server: Server, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting = app.state.policies.acting

    async def slow(reference: str) -> Any:
        app.state.streams._max_streams = 0
        return await acting(reference)

    monkeypatch.setattr(app.state.policies, "acting", slow)
    assert refused(server, "/policies/swing/stream") == (429, "too_many_streams")


def test_a_page_of_another_site_opens_none(server: Server) -> None:
    cookie = {"Cookie": f"{session_cookie_name(KEY)}={make_session(KEY)}"}
    path = "/policies/swing/stream"
    for origin in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refusal = refused(server, path, headers=cookie | origin)
        assert refusal == (403, "cross_site_request")
    with server.connect(f"/v1{path}", headers=cookie | {"Origin": server.base}) as socket:
        assert Loop(socket).step(0)["t"] == 0
    with server.connect(path, headers=BEARER | {"Origin": "http://other.example"}) as socket:
        assert Loop(socket).step(0)["t"] == 0


def closed(loop: Loop) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as error:
        loop.receive()
    assert error.value.rcvd is not None
    return error.value.rcvd.code, error.value.rcvd.reason


def test_what_ends_it(server: Server, app: FastAPI) -> None:
    with server.loop("swing", PACKED) as loop:
        loop.socket.send("{}")
        assert closed(loop) == (1003, "act.msgpack.v1 has bytes frames only")
    with server.loop() as loop:
        loop.socket.send(b"{}")
        assert closed(loop)[0] == 1003
    with server.loop() as loop:
        loop.socket.send(" " * ((1 << 20) + 1))
        assert closed(loop) == (1009, "a frame may have 1048576 bytes (MRQ_MAX_BODY_BYTES)")
    with server.loop("swing", PACKED) as loop:
        loop.socket.send(b" " * ((8 << 20) + 1))
        assert closed(loop)[0] == 1009
    with server.loop() as loop:
        loop.socket.send("é" * (1 << 19) + " ")
        assert closed(loop)[0] == 1009
    app.state.streams._idle_seconds = 0.05
    with server.loop() as loop:
        code, reason = closed(loop)
        assert code == 4408
        assert "MRQ_SESSION_IDLE_SECONDS" in reason
    assert not app.state.streams.counts()


def await_no_streams(app: FastAPI) -> None:
    until = time.monotonic() + 10
    while app.state.streams.counts():
        assert time.monotonic() < until, "it is still open"
        time.sleep(0.01)


def test_only_an_observation_in_bytes_may_be_longer_than_a_text(server: Server) -> None:
    long = (1 << 20) + 1
    with server.loop("swing", PACKED) as loop:
        assert loop.step(0, bytes(long))["error"]["code"] == "binary_size_mismatch"
        assert loop.step(0)["t"] == 0
        loop.socket.send(packed([[]] * long))
        text = "beside an observation in bytes a frame may have 1048576 bytes (MRQ_MAX_BODY_BYTES)"
        assert closed(loop) == (1009, text)
    ends = {"x": [0] * long, "observation": b""}, {"type": "reset", "x": bytes(long)}
    for frame in (*map(msgspec.msgpack.encode, ends), b"\x91" * long, b"\xc1" * long):
        assert read_in_values(frame) > 1 << 20
    assert read_in_values(packed(bytes(long))) < 40


def raw(server: Server) -> Client:
    client = Client(int(server.base.rpartition(":")[2]))
    client.open_socket("/policies/swing/stream", f"Authorization: Bearer {KEY}\r\n")
    assert b"metadata" in client.receive()
    return client


def test_a_client_that_breaks_off_troubles_nobody(
    server: Server, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of its frames: with text that is not UTF-8, an opcode that is none, at once."""
    frames = [b'{"t":%d,"observation":[0.5,1,2]}' % t for t in range(50)]
    sent = b"".join(b"\x81%c\0\0\0\0%b" % (0x80 | len(frame), frame) for frame in frames)
    for end in (b"\x81\x81\0\0\0\0\xff", b"\x83\x80\0\0\0\0", b""):
        with raw(server) as client:
            client.socket.sendall(sent + end)
    await_no_streams(app)
    with server.loop() as loop:
        assert loop.step(0)["t"] == 0
    assert "Exception in ASGI application" not in caplog.text


def test_they_are_counted(server: Server) -> None:
    def told() -> list[str]:
        lines = server.http.get("/metrics").text.splitlines()
        return [line for line in lines if "swing" in line and "bucket" not in line]

    with server.loop() as loop:
        loop.step(0)
        loop.step(9)
        labels = 'policy="swing",version="1"'
        found = told()
        assert f"mrq_act_streams{{{labels}}} 1" in found
        assert f'mrq_act_requests_total{{{labels},code="200"}} 1' in found
        assert f'mrq_act_requests_total{{{labels},code="409"}} 1' in found
        assert f"mrq_act_request_duration_seconds_count{{{labels}}} 1" in found
    server.http.post("/policies/swing/sessions")
    assert f"mrq_act_sessions{{{labels}}} 1" in told()


def test_who_reads_nothing_holds_no_stream(
    server: Server, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """Its buffers get full, so the server waits to send and not for a frame."""
    caplog.set_level(logging.INFO, "app.serving.stream")
    app.state.streams._idle_seconds = 0.4
    app.state.streams._max_streams = 1
    resets = b'\x81\x90\0\0\0\0{"type":"reset"}' * 1000
    with raw(server) as client:
        client.socket.settimeout(None)

        def ask_on() -> None:
            with suppress(OSError):
                while True:
                    client.socket.sendall(resets)

        asking = threading.Thread(target=ask_on, daemon=True)
        asking.start()
        await_no_streams(app)
        assert "nothing was read for 0.4 s" in caplog.text
        with server.loop() as loop:
            assert loop.step(0)["t"] == 0
        client.socket.shutdown(socket.SHUT_RDWR)
        asking.join()
    assert "Exception in ASGI application" not in caplog.text
