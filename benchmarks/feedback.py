"""`python -m benchmarks.feedback`: actions and rewards while the server is killed again and again.

Clients ask a policy for actions that are logged, tell the reward of each, and repeat whatever got
no answer; meanwhile the server dies by SIGKILL and `mrq up` starts it anew. Then every action that
was answered must be in the log with its own observation and its own reward, once; a dataset is made
of the log, and a job learns from it. What was written without its client ever hearing of it stands
there without a reward. Prints what it counted; the exit code is 0 if all held.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
from sqlalchemy import create_engine, text

from benchmarks.applications.running import answer_of, wait_for
from cli.embedded import RunningService, embedded_service

NAME = "swing"
PATIENCE_SECONDS = 60.0
BATCH = 20  # feedback told at once


@dataclass
class Told:
    """What the clients know: the ids they were given, by the number of the decision."""

    actions: dict[int, str] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)


def trained(client: httpx2.Client) -> None:
    """All of it warm-up: a policy that has learnt nothing is sure of nothing."""
    job = {
        "name": NAME,
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"preset": "small", "hyperparameters": {"warmup_steps": 1000}},
        "budget": {"total_steps": 120},
        "evaluation": {"every_steps": 100, "episodes": 1},
    }
    done = wait_for(client, answer_of(client.post("/jobs", json=job))["id"])
    if done["status"] != "succeeded":
        raise SystemExit(f"the job is {done['status']}: {done['status_message']}")


def observation(number: int) -> list[float]:
    """Each decision's own, and all of them near enough that chance decides."""
    return [0.0, float(np.float32(number * 1e-5)), 0.0, 0.0]


def repeated(client: httpx2.Client, path: str, body: dict[str, Any]) -> Any:
    """Until it is answered: a killed server answers nothing, or 503 when it is back."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = client.post(path, json=body)
            if answer.status_code != 503:
                return answer_of(answer)
        except httpx2.TransportError:
            pass
        if time.monotonic() > until:
            raise SystemExit(f"{path}: no answer for {PATIENCE_SECONDS:g} s")
        time.sleep(0.05)


def decide(service: RunningService, numbers: list[int], told: Told) -> None:
    """Of one client: actions, and then their rewards; the reward is the decision's number."""
    with service.client() as client:
        for batch in _of(numbers):
            for number in batch:
                body = {"observation": observation(number), "mode": "sample", "log": True}
                told.actions[number] = repeated(client, f"/policies/{NAME}/act", body)["action_id"]
            given = [{"action_id": told.actions[n], "reward": float(n)} for n in batch]
            answer = repeated(client, f"/policies/{NAME}/feedback", {"feedback": given})
            told.results.update(answer["results"])


def _of(numbers: list[int]) -> list[list[int]]:
    return [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]


def kill_server(service: RunningService, folder: Path) -> None:
    """The process that answers; `mrq up` lets another take its place."""
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if "app.serve" in words and str(folder) in " ".join(process.environ().values()):
            process.kill()
            return
    raise SystemExit(f"no server of {service.url} to kill")


def run(service: RunningService, folder: Path, actions: int, kills: int, clients: int) -> Told:
    told = Told()
    shares = [list(range(first, actions, clients)) for first in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        working = [pool.submit(decide, service, share, told) for share in shares]
        for kill in range(kills):
            while len(told.actions) < actions * (kill + 1) / (kills + 1):
                if all(each.done() for each in working):
                    break
                time.sleep(0.01)
            kill_server(service, folder)
        for each in working:
            each.result()
    return told


def findings(folder: Path, told: Told, actions: int) -> tuple[list[str], int]:
    """What is wrong with the log, and how many actions in it nobody heard of."""
    engine = create_engine(f"sqlite:///{folder / 'mrq.db'}")
    query = text("SELECT id, observation, reward, feedback_at FROM logged_actions")
    with engine.connect() as connection:
        rows = {row.id: row for row in connection.execute(query)}
    engine.dispose()
    wrong = []
    for number in range(actions):
        row = rows.pop(told.actions[number], None)
        if row is None:
            wrong.append(f"decision {number} was answered and is not in the log")
        elif row.reward != number or json.loads(row.observation) != observation(number):
            wrong.append(f"decision {number} has {row.observation} and reward {row.reward}")
    wrong += [f"{id} has a reward of nobody's" for id, row in rows.items() if row.feedback_at]
    if told.results["joined"] + told.results["duplicate"] != actions:
        wrong.append(f"feedback was answered {dict(told.results)}")
    return wrong, len(rows)


def learn(client: httpx2.Client, actions: int) -> list[str]:
    """From the log, with no further hand."""
    path = f"/policies/{NAME}/feedback/dataset"
    dataset = answer_of(client.post(path, json={"name": "decisions"}))
    job = {
        "name": "learnt",
        "environment": {"id": "mrq/Logged-v0", "dataset_id": dataset["id"]},
        "algorithm": {"mode": "offline", "preset": "small"},
        "budget": {"total_steps": 100},
    }
    done = wait_for(client, answer_of(client.post("/jobs", json=job))["id"])
    wrong = [] if dataset["rows"] == actions else [f"the dataset has {dataset['rows']} rows"]
    return wrong + ([] if done["status"] == "succeeded" else [f"its job is {done['status']}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mrq-feedback-") as name:
        folder = Path(name)
        with embedded_service(folder) as service, service.client() as client:
            trained(client)
            told = run(service, folder, options.actions, options.kills, options.clients)
            wrong, unheard = findings(folder, told, options.actions)
            wrong += learn(client, options.actions)
    print(
        f"{options.actions} actions, {options.kills} kills: {dict(told.results)}; "
        f"{unheard} written without an answer; {time.perf_counter() - begun:.0f} s"
    )
    for each in wrong[:20]:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
