"""A worker in a process of its own answers: when its broker dies, and on a slow machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.servers import ValkeyProcess, valkey_server
from store.doorbell import CeleryDoorbell
from store.settings import Settings

JOB = "job_0123456789abcdef"
RECEIVED = "Task mrq.ring["
ANSWERED = "no job waits"
# Celery would kill a pool child after 4 s that has not come up.
SLOW_CHILD = """
import sys, time
if any("spawn_main" in argument for argument in sys.orig_argv):
    time.sleep(6)
"""


@pytest.fixture
def broker() -> Iterator[ValkeyProcess]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A folder in which Python finds what makes pool children slow."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW_CHILD)
    return folder


@contextmanager
def _worker(
    broker: ValkeyProcess, settings: Settings, log: Path, *python_path: Path
) -> Iterator[None]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [*python_path, *sys.path])),
        "MRQ_DATA_DIR": str(settings.data_dir),
        "MRQ_DATABASE_URL": settings.database_url,
        "MRQ_BROKER_URL": broker.url,
    }
    command = [sys.executable, "-m", "worker.celery_app"]
    with log.open("wb") as file:
        worker = subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        _wait_for(log, "ready.")
        yield
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _wait_for(log: Path, text: str, times: int = 1) -> None:
    until = time.monotonic() + 60
    while log.read_text(errors="replace").count(text) < times:
        assert time.monotonic() < until, log.read_text(errors="replace")[-3000:]
        time.sleep(0.02)


def _ring(broker: ValkeyProcess) -> None:
    doorbell = CeleryDoorbell(broker.url)
    doorbell.ring(JOB)
    doorbell.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("database")
class TestAWorker:
    def test_is_not_deaf_after_a_bell_that_it_could_not_acknowledge(
        self, broker: ValkeyProcess, settings: Settings, tmp_path: Path
    ) -> None:
        log = tmp_path / "worker.log"
        with _worker(broker, settings, log):
            _ring(broker)
            _wait_for(log, RECEIVED)
            broker.stop(signal.SIGKILL)  # the pool child has not come up yet, to take the bell
            _wait_for(log, ANSWERED)
            assert "Couldn't ack" in log.read_text(), "too late: it was acknowledged before"
            broker.start()
            _ring(broker)
            _wait_for(log, ANSWERED, times=2)

    def test_does_not_kill_a_pool_child_that_is_slow_to_come_up(
        self, broker: ValkeyProcess, settings: Settings, tmp_path: Path, slow: Path
    ) -> None:
        log = tmp_path / "worker.log"
        with _worker(broker, settings, log, slow):
            _ring(broker)
            _wait_for(log, ANSWERED)
            _ring(broker)  # for the next child: Celery does not time a worker's first
            _wait_for(log, ANSWERED, times=2)
        assert "Timed out waiting for UP message" not in log.read_text()
