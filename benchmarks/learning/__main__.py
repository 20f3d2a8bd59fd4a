"""`make learning`: learning runs of the preset `small`, through the whole service.

Each run is a job; the policy that the job itself promotes plays 20 fresh episodes over HTTP.
Writes one CSV and one SVG per environment and the table in `small.md`, beside this file.
"""

import argparse
import csv
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.learning.drawing import Curve, draw
from cli.embedded import embedded_service
from cli.playing import play_episodes

FOLDER = Path(__file__).parent
FRESH_SEEDS = range(50_000, 50_020)
PACKAGES = ("torch", "gymnasium", "numpy", "onnxruntime")


@dataclass(frozen=True)
class Task:
    environment_id: str
    total_steps: int
    wanted: float


TASKS = (Task("CartPole-v1", 10_000, 475.0), Task("Pendulum-v1", 6_000, -200.0))


@dataclass(frozen=True)
class Result:
    task: Task
    seed: int
    evaluations: list[dict[str, Any]]
    promoted_step: int
    fresh_returns: list[float]

    @property
    def fresh_mean(self) -> float:
        return statistics.fmean(self.fresh_returns)


def submit(client: httpx2.Client, task: Task, seed: int, changes: dict[str, Any]) -> str:
    name = f"{task.environment_id.lower()}-seed-{seed}"
    spec = {
        "name": name,
        "environment": {"id": task.environment_id},
        "algorithm": {"preset": "small", "hyperparameters": changes},
        "budget": {"total_steps": task.total_steps},
        "evaluation": {"every_steps": 500, "episodes": 20},
        "seed": seed,
    }
    return str(client.post("/jobs", json=spec).raise_for_status().json()["id"])


def collect(client: httpx2.Client, task: Task, seed: int, job_id: str) -> Result:
    """Waits for the job, then plays its policy."""
    job = client.get(f"/jobs/{job_id}").raise_for_status().json()
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(1.0)
        job = client.get(f"/jobs/{job['id']}").raise_for_status().json()
    if job["status"] != "succeeded":
        raise RuntimeError(f"{job['name']} {job['status']}: {job['status_message']}")
    page = client.get(f"/jobs/{job['id']}/evaluations").raise_for_status().json()
    best = next(row for row in page["data"] if row["best"])
    played = play_episodes(client, job["policy"]["id"], task.environment_id, FRESH_SEEDS)
    return Result(task, seed, page["data"], best["step"], played.returns)


def write_curves(task: Task, results: list[Result]) -> None:
    stem = FOLDER / f"{task.environment_id.lower()}-small"
    with stem.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "step", "return_mean", "return_min", "return_max", "episodes"])
        for result in results:
            for row in result.evaluations:
                returns = row["returns"]
                mean = round(row["return_mean"], 3)
                ends = [round(min(returns), 3), round(max(returns), 3)]
                writer.writerow([result.seed, row["step"], mean, *ends, len(returns)])
    curves = [
        Curve(f"seed {r.seed}", [(e["step"], e["return_mean"]) for e in r.evaluations])
        for r in results
    ]
    title = f"{task.environment_id}, preset small, mean return of 20 episodes"
    stem.with_suffix(".svg").write_text(draw(title, curves, wanted=task.wanted))


def write_table(results: list[Result]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        "# Preset `small`: does it learn?",
        "",
        f"`make learning` on {datetime.now(UTC):%Y-%m-%d}, commit {commit}, "
        f"{platform.machine()}, Python {platform.python_version()}, {versions}, "
        "one thread per run. Each row is one job submitted over HTTP; the policy is the one that "
        "the job promoted by itself, replayed deterministically on 20 fresh episodes (seeds "
        f"{FRESH_SEEDS.start} to {FRESH_SEEDS.stop - 1}) through `POST /policies/{{id}}/act`. "
        "Curves: the CSV and SVG files beside this page.",
        "",
        "| environment | steps | seed | promoted at step | mean of 20 | worst | wanted | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        reached = "yes" if r.fresh_mean >= r.task.wanted else "NO"
        lines.append(
            f"| {r.task.environment_id} | {r.task.total_steps} | {r.seed} | {r.promoted_step} "
            f"| {r.fresh_mean:.1f} | {min(r.fresh_returns):.1f} | {r.task.wanted:g} | {reached} |"
        )
    (FOLDER / "small.md").write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--hyperparameters", type=json.loads, default={}, help="JSON; with it nothing is written"
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    changes: dict[str, Any] = options.hyperparameters
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="mrq-learning-") as folder,
        embedded_service(Path(folder), workers=options.workers) as service,
        service.client() as client,
    ):
        jobs = {(t, s): submit(client, t, s, changes) for t in TASKS for s in options.seeds}
        for task in TASKS:
            mine = []
            for seed in options.seeds:
                mine.append(collect(client, task, seed, jobs[task, seed]))
                print(
                    f"{task.environment_id} seed {seed}: {mine[-1].fresh_mean:.1f} "
                    f"(wanted {task.wanted:g})",
                    flush=True,
                )
            results += mine
            if not changes:
                write_curves(task, mine)
    if not changes:
        write_table(results)
    return 0 if all(r.fresh_mean >= r.task.wanted for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
