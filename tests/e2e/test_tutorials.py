"""The tutorials of environments, command by command as the pages have them."""

import json
import re
from pathlib import Path
from typing import Any

from tests.e2e.service import LiveService
from tests.e2e.tutorials import commands, run, shorter


def follow(page: str, steps: int, service: LiveService, folder: Path) -> tuple[Any, Any]:
    """The job, trained for less than the page says, and the action that the page asks for."""
    start, train, act = commands(page)
    assert start.split()[-2:] == [".venv/bin/mrq", "up"], "as the service of these tests"
    assert f'"budget": {{"total_steps": {steps}}}' in train
    job_id = re.findall(r'"id":"(job_\w+)"', run(shorter(train), folder, service))[0]
    job = service.wait_for_end(job_id)
    assert job["status"] == "succeeded", job["status_message"]
    return job, json.loads(run(act, folder, service))["action"]


def test_a_pump_is_told_a_rate(service: LiveService, tmp_path: Path) -> None:
    job, (rate,) = follow("docs/tutorials/health.md", 6000, service, tmp_path)
    environment = job["spec"]["environment"]
    assert (environment["max_episode_steps"], environment["limit_terminates"]) == (96, True)
    assert 0.0 <= rate <= 3.0


def test_a_move_is_a_legal_one(service: LiveService, tmp_path: Path) -> None:
    _, column = follow("docs/tutorials/games.md", 20_000, service, tmp_path)
    assert 1 <= column <= 5
