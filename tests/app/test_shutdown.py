"""The server as a process: it stops at once although streams are open."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from store.database import Database
from store.settings import Settings
from tests.app.driving import BEARER, KEY, submit, trained_job


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_server(settings: Settings, port: int, log: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "MRQ_DATA_DIR": str(settings.data_dir),
        "MRQ_DATABASE_URL": settings.database_url,
        "MRQ_API_KEY": KEY,
    }
    # No time limit for the shutdown: the streams must end by themselves.
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:build", "--port", str(port)]
    with log.open("wb") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out)


def wait_until_it_answers(base: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            httpx2.get(f"{base}/healthz")
            return
        except httpx2.ConnectError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_while_a_stream_is_open(
    settings: Settings, database: Database, tmp_path: Path, number: signal.Signals
) -> None:
    port, log = free_port(), tmp_path / "log"
    base = f"http://127.0.0.1:{port}"
    server = start_server(settings, port, log)
    try:
        wait_until_it_answers(base)
        headers = BEARER | {"Accept": "text/event-stream"}
        url = f"{base}/jobs/{submit(database)}/events"
        with httpx2.stream("GET", url, headers=headers, timeout=20) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "id: 1"
            server.send_signal(number)
            assert "event: end" not in list(lines)  # closed properly, and not as a job that ended
        assert server.wait(timeout=20) in (0, -number)
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in log.read_text()
    assert KEY not in log.read_text()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_hangs_up_when_it_stops(settings: Settings, database: Database, tmp_path: Path) -> None:
    trained_job(database, settings, name="swing")
    port, log = free_port(), tmp_path / "log"
    server = start_server(settings, port, log)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}")
        url = f"ws://127.0.0.1:{port}/policies/swing/stream"
        with connect(url, additional_headers=BEARER, proxy=None) as socket:
            assert "metadata" in str(socket.recv(timeout=20))
            server.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert server.wait(timeout=20) in (0, -signal.SIGTERM)
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in log.read_text()
