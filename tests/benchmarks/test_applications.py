"""`make applications`, as small as it can be, and what it says of rows that fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.applications.__main__ import exit_code, run_rows
from benchmarks.applications.rows import APPLICATIONS, Row, row_of
from benchmarks.applications.running import run_row
from benchmarks.applications.table import page
from cli.embedded import RunningService, embedded_service
from store.catalogue import AREAS, CATALOGUE

NARROW = {"zs_dim": 16, "zsa_dim": 16, "batch_size": 16, "warmup_steps": 50}


def quick(environment_id: str, **changes: Any) -> Row:
    row = row_of(CATALOGUE[environment_id])
    return replace(row, total_steps=100, changes={**NARROW, **changes})


def test_rows_go_all_the_way_and_one_that_fails_is_told_and_makes_the_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused at submission is the quickest way to fail; the rows after it still run."""
    rows = [
        quick("CartPole-v1", batch_size=0),
        quick("mrq/ConnectFour-v0"),
        quick("mrq/Trading-v0"),
    ]
    with embedded_service(tmp_path) as service:
        done = run_rows(service, rows)
        with service.client() as client:
            policy = client.get("/policies/application-mrq-connectfour-v0-promoted:1").json()
    assert done is not None
    refused, connect_four, trader = done
    assert [each.ok for each in done] == [False, True, True], done
    assert exit_code(done) == 1
    assert exit_code(done[1:]) == 0
    assert refused.wrong.startswith("422 invalid_input: batch_size is 0; ")
    assert [connect_four.action, trader.action] == ["1 of 7, masked", "1 of 3"]
    assert connect_four.episode_return in (-1.0, 0.0, 1.0)
    assert 2 <= connect_four.acted <= 21
    assert trader.acted == 60
    assert policy["environment_id"] == "mrq/ConnectFour-v0"
    said = capsys.readouterr().out.splitlines()
    assert "| NO: 422 invalid_input: batch_size is 0; " in said[0]
    assert said[0].startswith("| `CartPole-v1` | classic control | 100 |")
    assert said[1].endswith("| yes |")
    assert said[3].startswith("2 of 3 rows are well")


def answering(body: dict[str, Any]) -> httpx2.Client:
    """A service that says this to everything."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=body))
    return httpx2.Client(base_url="http://service", transport=transport)


def test_a_job_that_fails_in_training_fails_its_row() -> None:
    job = {
        "dataset_role": None,
        "id": "job_1",
        "status": "failed",
        "status_reason": "environment_error",
        "status_message": "step: it\nbroke",
    }
    with answering(job) as client:
        done = run_row(client, quick("Pendulum-v1"))
    assert done.wrong == "failed, environment_error: step: it\nbroke"
    assert exit_code([done]) == 1
    assert "NO: failed, environment_error: step: it broke |" in page([done])


def test_what_is_not_installed_is_told_with_the_command_and_nothing_is_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = [
        {"id": "Pendulum-v1", "installed": True, "install": "pip install 'mrq-service[train]'"},
        {"id": "Atari/Pong-v5", "installed": False, "install": "pip install 'mrq-service[atari]'"},
        {"id": "mrq/Chess-v0", "installed": False, "install": "pip install 'mrq-service[chess]'"},
    ]

    class Served(RunningService):
        def client(self) -> httpx2.Client:
            return answering({"data": listed})

    rows = [quick("Pendulum-v1"), quick("Atari/Pong-v5")]
    done = run_rows(Served("", "", ""), rows)
    assert done is None
    assert exit_code(done) == 1
    said = capsys.readouterr()
    assert said.err == "Atari/Pong-v5 is not installed: pip install 'mrq-service[atari]'\n"
    assert said.out == ""


def test_nothing_at_all_is_no_success() -> None:
    assert exit_code([]) == 1


def test_every_area_has_an_application() -> None:
    areas = {CATALOGUE[each].area for each in APPLICATIONS}
    assert areas == {area.AREA.name for area in AREAS}


def test_the_committed_table_is_of_these_rows_and_all_are_well() -> None:
    table = Path("benchmarks/applications/table.md").read_text()
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == list(APPLICATIONS)
    assert all(line.endswith("| yes |") for line in lines)
