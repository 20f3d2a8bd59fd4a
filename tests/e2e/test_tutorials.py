"""The tutorials of environments, command by command as the pages have them."""

import json
import re
from pathlib import Path
from typing import Any

from tests.e2e.service import LiveService
from tests.e2e.tutorials import commands, run, shorter


def follow(
    page: str, steps: int, service: LiveService, folder: Path, fewer: int = 300
) -> tuple[Any, Any]:
    """The job, trained for less than the page says, and the action that the page asks for."""
    start, train, act, *_ = commands(page)
    assert start.split()[-2:] == [".venv/bin/mrq", "up"], "as the service of these tests"
    job = trained(train, steps, service, folder, fewer)
    return job, json.loads(run(act, folder, service))["action"]


def trained(train: str, steps: int, service: LiveService, folder: Path, fewer: int = 300) -> Any:
    """A job of fewer steps, once the page's own would have been accepted."""
    page = json.loads(run(train.replace("/jobs'", "/jobs?dry_run=true'"), folder, service))
    assert page.get("spec", {}).get("budget", {}).get("total_steps") == steps, page
    job_id = re.findall(r'"id":"(job_\w+)"', run(shorter(train, fewer), folder, service))[0]
    job = service.wait_for_end(job_id)
    assert job["status"] == "succeeded", job["status_message"]
    return job


def test_a_pump_is_told_a_rate(service: LiveService, tmp_path: Path) -> None:
    job, (rate,) = follow("docs/tutorials/health.md", 6000, service, tmp_path)
    environment = job["spec"]["environment"]
    assert (environment["max_episode_steps"], environment["limit_terminates"]) == (96, True)
    assert 0.0 <= rate <= 3.0
    sepsis = commands("docs/tutorials/health.md")[3].replace("/jobs'", "/jobs?dry_run=true'")
    asked = json.loads(run(sepsis, tmp_path, service))
    assert asked["spec"]["algorithm"]["name"] == "q_learning", asked


def test_a_move_is_a_legal_one_and_a_job_of_pong_is_accepted(
    service: LiveService, tmp_path: Path
) -> None:
    page = "docs/tutorials/games.md"
    _, column = follow(page, 20_000, service, tmp_path)
    assert 1 <= column <= 5
    asked = json.loads(run(commands(page)[3], tmp_path, service))
    assert asked["spec"]["environment"]["observation"] == {"kind": "pixels", "shape": [4, 84, 84]}
    assert asked["estimate"]["memory_bytes"] < 3.5e9, "as the page says"


def test_an_arm_is_told_a_movement_and_one_that_picks_up_is_accepted(
    service: LiveService, tmp_path: Path
) -> None:
    page = "docs/tutorials/robotics.md"
    _, movement = follow(page, 10_000, service, tmp_path)
    assert_numbers(movement, 4)
    asked = json.loads(run(commands(page)[3], tmp_path, service))
    assert asked["spec"]["environment"]["observation"]["shape"] == [31]
    assert asked["estimate"]["memory_bytes"] > 0


def test_a_car_is_told_what_to_do_and_one_that_parks_how_to_steer(
    service: LiveService, tmp_path: Path
) -> None:
    page = "docs/tutorials/driving.md"
    _, choice = follow(page, 6_000, service, tmp_path, fewer=30)
    assert choice in range(5)
    *_, park, steer = commands(page)
    trained(park, 50_000, service, tmp_path, fewer=30)
    assert_numbers(json.loads(run(steer, tmp_path, service))["action"], 2)


def test_a_drone_is_told_where_its_sticks_are(service: LiveService, tmp_path: Path) -> None:
    job, sticks = follow("docs/tutorials/drone.md", 20_000, service, tmp_path)
    assert job["spec"]["environment"]["kwargs"] == {"pillars": 8}
    assert_numbers(sticks, 4)


def test_a_user_is_shown_ten_films_each_once(service: LiveService, tmp_path: Path) -> None:
    _, train, recommend = commands("docs/tutorials/recommendation.md")
    trained(train, 70_000, service, tmp_path)
    shown = run(recommend, tmp_path, service)
    titles = re.findall(r"^(?:not liked|liked    ) (\w.+)$", shown, re.MULTILINE)
    assert len(set(titles)) == len(shown.splitlines()) == 10


def assert_numbers(action: list[float], size: int) -> None:
    assert len(action) == size
    assert all(-1.0 <= number <= 1.0 for number in action)
