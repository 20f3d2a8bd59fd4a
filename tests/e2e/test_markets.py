"""The tutorial of markets, command by command as the page has them, on real prices."""

import re
import shutil
from pathlib import Path

from benchmarks.prices_of_others import real_prices
from tests.e2e.service import LiveService
from tests.e2e.tutorials import commands, run, shorter

PAGE = "docs/tutorials/markets.md"
STEPS = '"budget": {"total_steps": 10000}'


def test_four_commands_lead_from_a_table_to_a_page(service: LiveService, tmp_path: Path) -> None:
    start, upload, train, backtest = commands(PAGE)
    assert start.split()[-2:] == [".venv/bin/mrq", "up"], "as the service of these tests"
    shutil.copy(real_prices(), tmp_path / "prices.csv")
    assert '"rows":2335' in run(upload, tmp_path, service)
    assert STEPS in train
    job_id = re.findall(r'"id":"(job_\w+)"', run(shorter(train), tmp_path, service))[0]
    job = service.wait_for_end(job_id)
    assert job["status"] == "succeeded", job["status_message"]
    assert job["spec"]["environment"]["dataset"]["rows"] == 2_335

    address = run(backtest, tmp_path, service).strip()
    page = service.client.get(address)
    assert page.status_code == 200
    assert "Past data promises nothing" in page.text
    report = service.get(address.removeprefix("/ui"))["report"]
    assert (report["rows"], report["first"][:10], report["last"][:10]) == (
        467,
        "2016-10-21",
        "2018-08-29",
    )
    held = next(each for each in report["strategies"] if each["name"] == "buy_and_hold")
    assert 0.5 < held["total_return"] < 0.6
    refused = service.client.delete("/datasets/googl")
    assert refused.status_code == 409
