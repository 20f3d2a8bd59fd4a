"""The tutorial of logs, command by command as the page has them."""

import json
from pathlib import Path

from tests.e2e.service import LiveService
from tests.e2e.test_tutorials import trained
from tests.e2e.tutorials import commands, run

PAGE = "docs/tutorials/logs.md"


def test_a_log_leads_to_a_policy_with_what_it_is_worth(
    service: LiveService, tmp_path: Path
) -> None:
    start, write, upload, train, worth, promote, act = commands(PAGE)
    assert start.split()[-2:] == [".venv/bin/mrq", "up"], "as the service of these tests"
    run(write, tmp_path, service)
    columns = json.loads(run(upload, tmp_path, service))["columns"]
    assert (columns["episodes"], columns["choices"]) == (240, 3)
    assert columns["features"] == ["place", "speed"]
    job = trained(train, 300, service, tmp_path)
    assert job["spec"]["algorithm"]["mode"] == "offline"

    estimate = json.loads(run(worth, tmp_path, service))
    assert (estimate["episodes"], estimate["discount"]) == (60, 0.95)
    assert round(estimate["logged"]["value"], 1) == 7.3, "as the page says"
    assert estimate["fitted"]["low"] < estimate["fitted"]["value"] < estimate["fitted"]["high"]
    promoted = json.loads(run(promote, tmp_path, service))
    assert (promoted["name"], promoted["job_id"]) == ("driver", job["id"])
    assert json.loads(run(act, tmp_path, service))["action"] in range(3)
