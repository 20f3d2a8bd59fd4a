"""One row over HTTP, as any client does it: submit, train, evaluate, promote, act."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from benchmarks.applications.prices import made_prices
from benchmarks.applications.rows import EPISODE_STEPS, Row
from benchmarks.offline.cart import Logging, log_csv
from cli.playing import play_episodes
from store.states import TERMINAL

# The slowest row takes a few minutes on a busy machine.
JOB_SECONDS = 1800.0


class RowFailed(Exception):
    """In words of the service, where it gave some."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """`episode_return`: of the job's last evaluation. `acted`: how many actions the promoted policy
    was asked for; each was taken by the environment. `wrong`: empty if all went well."""

    row: Row
    seconds: float
    episode_return: float | None = None
    action: str = ""
    acted: int = 0
    wrong: str = ""

    @property
    def ok(self) -> bool:
        return not self.wrong


def missing_extras(client: httpx2.Client, rows: Sequence[Row]) -> Mapping[str, str]:
    """Environments whose packages the workers lack, each with the command that installs them."""
    known = answer_of(client.get("/environments"))["data"]
    wanted = {row.environment_id for row in rows}
    return {
        each["id"]: each["install"]
        for each in known
        if each["id"] in wanted and each["installed"] is False
    }


def run_row(client: httpx2.Client, row: Row) -> Done:
    """Never raises for what goes wrong with a row: the others still have to run."""
    begun = time.perf_counter()
    try:
        mean, action, acted = _through(client, row)
    except RowFailed as error:
        return Done(row=row, seconds=time.perf_counter() - begun, wrong=str(error))
    except Exception as error:  # of the environment that is played in here
        wrong = f"{type(error).__name__}: {error}"
        return Done(row=row, seconds=time.perf_counter() - begun, wrong=wrong)
    seconds = time.perf_counter() - begun
    return Done(row=row, seconds=seconds, episode_return=mean, action=action, acted=acted)


def _through(client: httpx2.Client, row: Row) -> tuple[float, str, int]:
    """Return of the last evaluation, what an action looks like, how many were taken."""
    environment = answer_of(client.get(f"/environments/{row.environment_id}"))
    name = "application-" + row.environment_id.lower().replace("/", "-")
    dataset_id = _upload(client, row.dataset_role) if row.dataset_role else None
    job = wait_for(client, answer_of(client.post("/jobs", json=row.job(name, dataset_id)))["id"])
    if job["status"] != "succeeded":
        raise RowFailed(f"{job['status']}, {job['status_reason']}: {job['status_message']}")
    evaluations = answer_of(client.get(f"/jobs/{job['id']}/evaluations"))["data"]
    last = max(evaluations, key=lambda each: each["step"])
    if last["step"] != row.total_steps:
        raise RowFailed(f"last evaluated at step {last['step']}, not at {row.total_steps}")
    best = next(each for each in evaluations if each["best"])
    asked = {"checkpoint_id": best["checkpoint_id"], "name": f"{name}-promoted"}
    policy = answer_of(client.post("/policies", json=asked))
    acted = (
        _act_in_log(client, policy["id"]) if row.is_offline else _play(client, policy["id"], row)
    )
    return last["return_mean"], action_told(environment), acted


def _play(client: httpx2.Client, policy_id: str, row: Row) -> int:
    played = play_episodes(
        client, policy_id, row.environment_id, [1], max_episode_steps=EPISODE_STEPS
    )
    return len(played.action_seconds)


def _act_in_log(client: httpx2.Client, policy_id: str) -> int:
    """There is no environment to act in: what was observed is shown once more, an action asked."""
    lines = list(csv.DictReader(_made_log().decode().splitlines()))[:EPISODE_STEPS]
    seen = [[float(line["place"]), float(line["speed"])] for line in lines]
    answer = client.post(f"/policies/{policy_id}/act", json={"observations": seen})
    return len(answer_of(answer)["actions"])


def _made_log() -> bytes:
    return log_csv(40, Logging(discrete=True), seed=0)


def _upload(client: httpx2.Client, role: str) -> str:
    """Again is no error: the newest version is this very file."""
    answer = client.post(
        "/datasets",
        params={"name": f"application-{role}", "role": role},
        content=_made_log() if role == "transitions" else made_prices(),
        headers={"Content-Type": "text/csv"},
    )
    return str(answer_of(answer)["id"])


def action_told(environment: Mapping[str, Any]) -> str:
    """Of `GET /environments/{id}`."""
    if environment["action_kind"] == "continuous":
        return f"{environment['action_dim']} numbers"
    choices = " x ".join(str(size) for size in environment["action_components"])
    return f"1 of {choices}" + (", masked" if environment["masked"] else "")


def wait_for(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    until = time.monotonic() + JOB_SECONDS
    while (job := answer_of(client.get(f"/jobs/{job_id}")))["status"] not in TERMINAL:
        if time.monotonic() > until:
            client.post(f"/jobs/{job_id}/cancel")  # or the only worker stays with it
            raise RowFailed(f"still {job['status']} after {JOB_SECONDS:.0f} seconds")
        time.sleep(0.1)
    return job


def answer_of(response: httpx2.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if not response.is_success:
        raise RowFailed(f"{response.status_code} {body.get('code')}: {body.get('detail')}")
    return body
