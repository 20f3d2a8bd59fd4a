"""A worker whose broker dies between a bell and its acknowledgement hears the next bell."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import ValkeyProcess, valkey_server
from store.doorbell import CeleryDoorbell
from store.settings import Settings

JOB = "job_0123456789abcdef"
RECEIVED = "Task mrq.ring["
ANSWERED = "no job waits"


@pytest.fixture
def broker() -> Iterator[ValkeyProcess]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def log(
    broker: ValkeyProcess, database_url: str, settings: Settings, tmp_path: Path
) -> Iterator[Path]:
    """Of a worker in a process of its own, whose database has no job."""
    environment = {
        **os.environ,
        "MRQ_DATA_DIR": str(settings.data_dir),
        "MRQ_DATABASE_URL": database_url,
        "MRQ_BROKER_URL": broker.url,
    }
    path = tmp_path / "worker.log"
    command = [sys.executable, "-m", "worker.celery_app"]
    with path.open("wb") as file:
        worker = subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        _wait_for(path, "ready.")
        yield path
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
def test_a_bell_that_cannot_be_acknowledged_does_not_make_the_worker_deaf(
    broker: ValkeyProcess, log: Path
) -> None:
    _ring(broker)
    _wait_for(log, RECEIVED)
    broker.stop(signal.SIGKILL)  # the pool child has not come up yet, to take the bell
    _wait_for(log, ANSWERED)
    assert "Couldn't ack" in log.read_text(), "too late: the bell was acknowledged before"
    broker.start()
    _ring(broker)
    _wait_for(log, ANSWERED, times=2)
