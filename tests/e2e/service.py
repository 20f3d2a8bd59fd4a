"""A real service for tests: `mrq up` in a folder of its own, reached over HTTP alone."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.reliability.jobs import SHORT_WAITS, TINY
from store.processes import stop_with_parent

API_KEY = "a-key-for-tests-only"
FAST = {"MRQ_API_KEY": API_KEY, **SHORT_WAITS}


def tiny_job(**changes: Any) -> dict[str, Any]:
    job = {
        "name": "tiny",
        "environment": {"id": "Pendulum-v1"},
        "algorithm": {"preset": "small", "hyperparameters": TINY},
        "budget": {"total_steps": 700},
        "evaluation": {"every_steps": 200, "episodes": 2},
        "checkpointing": {"every_steps": 100, "keep": 2},
        "seed": 3,
    }
    return {**job, **changes}


@dataclass(kw_only=True)
class Api(ABC):
    """What a client of any service does: submit, and wait."""

    client: httpx2.Client

    @abstractmethod
    def logs(self) -> str:
        """For the message of a test that waited in vain."""

    def submit(self, job: dict[str, Any]) -> str:
        response = self.client.post("/jobs", json=job)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Asks again while the server is being started anew."""
        return self.get(f"/jobs/{job_id}")

    def get(self, path: str) -> dict[str, Any]:
        until = time.monotonic() + 30
        while True:
            try:
                response = self.client.get(path)
            except httpx2.TransportError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
                continue
            assert response.status_code == 200, response.text
            body: dict[str, Any] = response.json()
            return body

    def wait(
        self, job_id: str, reached: Callable[[dict[str, Any]], bool], seconds: float = 120
    ) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while not reached(job := self.job(job_id)):
            assert time.monotonic() < until, f"{job['status']} at {job['progress']}: {self.logs()}"
            time.sleep(0.1)
        return job

    def wait_for_step(self, job_id: str, step: int) -> dict[str, Any]:
        return self.wait(job_id, lambda job: bool(job["progress"]["step"] >= step))

    def wait_for_end(self, job_id: str) -> dict[str, Any]:
        ended = {"succeeded", "failed", "cancelled"}
        return self.wait(job_id, lambda job: job["status"] in ended)


@dataclass(kw_only=True)
class LiveService(Api):
    url: str
    process: subprocess.Popen[str]
    data_dir: Path

    def find_process(self, part: str) -> psutil.Process:
        """The first process under `mrq up` whose command line has this part."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if part in " ".join(process.cmdline()):
                    return process
        raise AssertionError(f"no process with {part!r} under mrq up")

    def kill(self, part: str) -> int:
        process = self.find_process(part)
        process.send_signal(signal.SIGKILL)
        return int(process.pid)

    def logs(self) -> str:
        tails = [
            f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
            for path in sorted(self.data_dir.glob("logs/**/*.log"))
        ]
        return "\n".join(tails)


@contextmanager
def live_service(
    data_dir: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[LiveService]:
    """Ends with the block; every process it started must then be gone, or it fails."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MRQ_")}
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cli.main",
            "up",
            "--data-dir",
            str(data_dir),
            "--port",
            "0",
            *arguments,
        ],
        env={**clean, **FAST, **(environment or {})},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=stop_with_parent,  # also when the test run itself is killed
    )
    url = read_url(process)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=20.0) as client:
        try:
            yield LiveService(url=url, process=process, data_dir=data_dir, client=client)
        finally:
            stop_and_check(process)


def read_url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("mrq: ready at "):
            return line.split()[-1]
    raise AssertionError(f"mrq up ended before it was ready: {''.join(said)}")


def stop_and_check(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        process.communicate()
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate(timeout=40)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == [], f"left behind: {[p.cmdline() for p in alive if p.is_running()]}"
    assert process.returncode == 0
