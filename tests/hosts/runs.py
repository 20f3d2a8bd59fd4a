"""Runs that are the same whatever befalls them, and what can be seen of them from outside."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import select

from benchmarks.reliability.jobs import TINY
from store.clock import now_ms
from store.tables import Attempt, Checkpoint, Evaluation, Event, Job, MetricPoint
from tests.e2e.service import tiny_job
from tests.hosts.cluster import Cluster
from tests.hosts.network import Host

STEPS = 450
MIDDLE = 150  # after the warm-up, between two checkpoints
# Whatever waits for a host that does not answer gives up sooner (store/silence.py: ten seconds, and
# then there is a connection to be tried), even on a busy machine. Left to Linux it takes minutes.
HANGS_SECONDS = 45.0


def spec(name: str) -> dict[str, Any]:
    """All of the same run, whatever it is called."""
    return tiny_job(
        name=name,
        algorithm={"preset": "small", "hyperparameters": {**TINY, "warmup_steps": 100}},
        budget={"total_steps": STEPS},
        checkpointing={"every_steps": 100, "keep": 2},
        evaluation={"every_steps": 250, "episodes": 1},
    )


def wait_for_middle(hosts: Cluster, job_id: str) -> None:
    job = hosts.wait_for_step(job_id, MIDDLE)
    assert job["status"] == "running", "too late: a cut now would prove nothing"
    assert job["progress"]["step"] < STEPS - 100, "too late: a cut now would prove nothing"


def attempts(hosts: Cluster, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = hosts.get(f"/jobs/{job_id}/attempts")["data"]
    return found


def runs_on(hosts: Cluster, job_id: str) -> Host:
    return hosts.host(attempts(hosts, job_id)[-1]["host"])


@contextmanager
def cut(host: Host) -> Iterator[None]:
    host.cut()
    try:
        yield
    finally:
        host.heal()


@contextmanager
def upload_that_is_being_sent(hosts: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """By the reconciler's host, to what says on the bucket's host that it may come, and no more."""
    host = hosts.host("storage")
    with host.namespace.entered():
        listener = socket.create_server((host.address, 0))
    with listener:
        listener.settimeout(HANGS_SECONDS)
        endpoint = f"http://{host.address}:{listener.getsockname()[1]}"
        upload = hosts.start("reconciler", "tests.hosts.uploading", AWS_ENDPOINT_URL=endpoint)
        connection, _ = listener.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(1)
            yield upload


class Undisturbed:
    """A run that nobody has touched, beside the first of those that are. Its policy can act."""

    def __init__(self, hosts: Cluster) -> None:
        self._hosts = hosts
        self._job_id = hosts.submit(spec("undisturbed"))

    @cached_property
    def job(self) -> dict[str, Any]:
        job = self._hosts.wait_for_end(self._job_id)
        assert (job["status"], job["attempt"]) == ("succeeded", 1), job["status_message"]
        return job

    def require_same(self, job: dict[str, Any]) -> None:
        assert job["status"] == "succeeded", job["status_message"]
        assert job["weights_sha256"] == self.job["weights_sha256"]
        assert job["best"]["return_mean"] == self.job["best"]["return_mean"]


def require_moved(hosts: Cluster, job_id: str, undisturbed: Undisturbed) -> None:
    """It ended elsewhere, from a checkpoint, with every byte of the undisturbed run."""
    job = hosts.wait_for_end(job_id)
    assert job["status"] == "succeeded", job["status_message"]
    first, *_, second = attempts(hosts, job_id)
    assert (first["status"], first["reason"]) == ("lost", "worker_lost")
    assert (second["status"], second["fidelity"]) == ("succeeded", "exact")
    assert second["start_step"] >= 100
    assert first["host"] != second["host"]
    undisturbed.require_same(job)


def lease_of(hosts: Cluster, job_id: str) -> tuple[int, int]:
    """Epoch, and the milliseconds left of its lease, by the only clock that counts."""
    with hosts.database.read() as session:
        query = select(Job.epoch, Job.lease_until - now_ms()).where(Job.id == job_id)
        epoch, left = session.execute(query).one()
    return epoch, left


def written_by(hosts: Cluster, job_id: str, attempt: int) -> dict[str, list[Any]]:
    """Every row that an attempt has to its name."""
    with hosts.database.read() as session:
        number = session.execute(select(Job.number).where(Job.id == job_id)).scalar_one()
        of_job = [
            select(*table.__table__.columns).where(
                table.job_number == number, table.attempt == attempt
            )
            for table in (Event, MetricPoint, Evaluation, Checkpoint)
        ]
        own = select(*Attempt.__table__.columns).where(
            Attempt.job_number == number, Attempt.number == attempt
        )
        found = [session.execute(query).all() for query in (*of_job, own)]
    names = ("events", "metrics", "evaluations", "checkpoints", "attempts")
    rows = [sorted((tuple(row) for row in each), key=str) for each in found]
    return dict(zip(names, rows, strict=True))


def warnings_of(hosts: Cluster, job_id: str) -> list[str]:
    events = hosts.get(f"/jobs/{job_id}/events")["data"]
    return [event["data"]["message"] for event in events if event["type"] == "warning"]


def cancel(hosts: Cluster, job_id: str) -> None:
    hosts.client.post(f"/jobs/{job_id}/cancel").raise_for_status()
    assert hosts.wait_for_end(job_id)["status"] == "cancelled"


def wait_until(reached: Callable[[], bool], seconds: float = HANGS_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.02)
