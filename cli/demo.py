"""`make demo`: from nothing to an action, through the same HTTP API that users call.

Starts the embedded service on a free port and a fresh folder, trains Pendulum-v1 with the preset
`small`, then plays ten episodes against `POST /policies/{id}/act`.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.curve import draw_curve
from cli.embedded import embedded_service
from cli.playing import play_episodes

ENVIRONMENT = "Pendulum-v1"
TOTAL_STEPS = 8_000
EPISODES = 10
WANTED_RETURN = -200.0
JOB = {
    "name": "demo-pendulum",
    "environment": {"id": ENVIRONMENT},
    "algorithm": {"name": "mrq", "preset": "small"},
    "budget": {"total_steps": TOTAL_STEPS},
    "evaluation": {"every_steps": 1_000, "episodes": 10},
    "seed": 0,
}


def play_demo() -> int:
    """Exit code 0 only if the trained policy reached the wanted return over HTTP."""
    console = Console(soft_wrap=True, highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="mrq-demo-") as folder,
        embedded_service(Path(folder)) as service,
        service.client() as client,
    ):
        console.print(f"service at {service.url}, data in {folder}")
        console.print(f"watch it in a browser: {service.login_link}")
        job = _submit(client, console)
        job = _follow(client, job["id"], console)
        if job["status"] != "succeeded":
            console.print(f"[red]the job {job['status']}[/]: {job['status_message']}")
            return 1
        _show_curve(client, job, console)
        mean = _play(client, job["policy"]["id"], console)
        console.print(f"job page, while the service runs: {service.url}{job['links']['page']}")
    console.print("service stopped")
    reached = mean >= WANTED_RETURN
    verdict = "reached" if reached else "[red]did not reach[/]"
    console.print(f"mean return {mean:.1f}: {verdict} {WANTED_RETURN:.0f}")
    return 0 if reached else 1


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
        console.print(line)
    best, policy = job["best"], job["policy"]
    console.print(
        f"best evaluation {best['return_mean']:.1f}, promoted as {policy['name']}:"
        f"{policy['version']} ({policy['id']})"
    )


def _play(client: httpx2.Client, policy_id: str, console: Console) -> float:
    played = play_episodes(client, policy_id, ENVIRONMENT, range(10_000, 10_000 + EPISODES))
    milliseconds = 1000 * statistics.median(played.action_seconds)
    mean = statistics.fmean(played.returns)
    console.print(
        f"{EPISODES} episodes over HTTP: mean return {mean:.1f} "
        f"(worst {min(played.returns):.1f}), median {milliseconds:.2f} ms per action "
        f"({len(played.action_seconds)} actions)"
    )
    return mean
