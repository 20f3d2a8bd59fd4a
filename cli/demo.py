"""`make demo`: from nothing to an action, through the same HTTP API that users call.

Starts the embedded service on a free port and a fresh folder, trains Pendulum-v1 with the preset
`small`, then plays ten episodes against `POST /policies/{id}/act`.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import httpx2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.curve import draw_curve

ENVIRONMENT = "Pendulum-v1"
TOTAL_STEPS = 8_000
EPISODES = 10
WANTED_RETURN = -200.0
START_SECONDS = 60.0
JOB = {
    "name": "demo-pendulum",
    "environment": {"id": ENVIRONMENT},
    "algorithm": {"name": "mrq", "preset": "small"},
    "budget": {"total_steps": TOTAL_STEPS},
    "evaluation": {"every_steps": 1_000, "episodes": 10},
    "seed": 0,
}


@dataclass(frozen=True)
class RunningService:
    url: str
    key: str
    login_link: str

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30.0)


def play_demo() -> int:
    """Exit code 0 only if the trained policy reached the wanted return over HTTP."""
    console = Console(stderr=False)
    with (
        tempfile.TemporaryDirectory(prefix="mrq-demo-") as folder,
        _service(Path(folder), console) as service,
        service.client() as client,
    ):
        job = _submit(client, console)
        job = _follow(client, job["id"], console)
        if job["status"] != "succeeded":
            console.print(f"[red]the job {job['status']}[/]: {job['status_message']}")
            return 1
        _show_curve(client, job, console)
        mean = _play(client, job["policy"]["id"], console)
        console.print(f"job page while the service runs: {service.url}{job['links']['page']}")
    reached = mean >= WANTED_RETURN
    verdict = "reached" if reached else "[red]did not reach[/]"
    console.print(f"mean return {mean:.1f}: {verdict} {WANTED_RETURN:.0f}")
    return 0 if reached else 1


@contextmanager
def _service(folder: Path, console: Console) -> Iterator[RunningService]:
    """`mrq up` in a process group of its own, ended with the block."""
    console.print(f"starting the service on a free port, data in {folder}")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MRQ_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "up", "--data-dir", str(folder), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        yield _read_greeting(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        console.print("service stopped")


def _read_greeting(process: subprocess.Popen[str]) -> RunningService:
    assert process.stderr is not None
    found: dict[str, str] = {}
    marks = {"mrq: ready at ": "url", "mrq: API key": "key", "mrq: browser: ": "login_link"}
    for line in process.stderr:
        for mark, name in marks.items():
            if line.startswith(mark):
                found[name] = line.split()[-1]
        if len(found) == len(marks):
            return RunningService(**found)
    raise RuntimeError("the service ended before it was ready")


def _submit(client: httpx2.Client, console: Console) -> dict[str, Any]:
    response = client.post("/jobs", json=JOB, headers={"Idempotency-Key": "demo"})
    response.raise_for_status()
    job: dict[str, Any] = response.json()
    console.print(f"POST /jobs -> {response.status_code} {job['id']} ({ENVIRONMENT}, preset small)")
    return job


def _follow(client: httpx2.Client, job_id: str, console: Console) -> dict[str, Any]:
    columns = (
        TextColumn("{task.fields[status]:>9}"),
        BarColumn(),
        TextColumn("{task.completed:>5.0f}/{task.total:.0f} steps"),
        TextColumn("return {task.fields[shown]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=TOTAL_STEPS, status="queued", shown="-")
        while True:
            job: dict[str, Any] = client.get(f"/jobs/{job_id}").raise_for_status().json()
            latest = job["latest_metrics"].get("train/return")
            shown = "-" if latest is None else f"{latest:.0f}"
            step = job["progress"]["step"]
            progress.update(bar, completed=step, status=job["status"], shown=shown)
            if job["status"] in ("succeeded", "failed", "cancelled"):
                return job
            time.sleep(0.5)


def _show_curve(client: httpx2.Client, job: dict[str, Any], console: Console) -> None:
    page = client.get(f"/jobs/{job['id']}/evaluations").raise_for_status().json()
    points = [(row["step"], row["return_mean"]) for row in page["data"]]
    console.print("evaluation return (mean of 10 episodes) by step")
    for line in draw_curve(points):
        console.print(line, highlight=False)
    best, policy = job["best"], job["policy"]
    console.print(
        f"best evaluation {best['return_mean']:.1f}, promoted as {policy['name']}:"
        f"{policy['version']} ({policy['id']})"
    )


def _play(client: httpx2.Client, policy_id: str, console: Console) -> float:
    """Ten fresh episodes; every action comes from the server."""
    environment = gymnasium.make(ENVIRONMENT)
    returns: list[float] = []
    times: list[float] = []
    for episode in range(EPISODES):
        observation, _ = environment.reset(seed=10_000 + episode)
        total, over = 0.0, False
        while not over:
            started = time.perf_counter()
            answer = client.post(
                f"/policies/{policy_id}/act", json={"observation": observation.tolist()}
            ).raise_for_status()
            times.append(time.perf_counter() - started)
            action = np.asarray(answer.json()["action"], dtype=np.float32)
            observation, reward, terminated, truncated, _ = environment.step(action)
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    environment.close()
    milliseconds = 1000 * statistics.median(times)
    console.print(
        f"{EPISODES} episodes over HTTP: mean return {statistics.fmean(returns):.1f} "
        f"(worst {min(returns):.1f}), median {milliseconds:.2f} ms per action "
        f"({len(times)} actions)"
    )
    return statistics.fmean(returns)
