"""Backtests over HTTP and on their page, by a real policy on real files."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.pages.backtest_page import _told
from app.routes import backtests as routes
from mrq_core.markets.split import split
from store.database import Database
from store.dataset_files import file_name
from store.settings import Settings
from tests.app.driving import row_counts, trained_job
from tests.app.pages.reading import read, text_of
from tests.app.trading import trading_job
from tests.prices import csv_of, rows, series_of

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROWS = split(600, validation_fraction=0.2, test_fraction=0.2, embargo=5).test


@pytest.fixture
def job(database: Database, settings: Settings, tmp_path: Path) -> str:
    return trading_job(database, settings, tmp_path)


def test_it_is_on_the_test_rows_beside_three_others(client: TestClient, job: str) -> None:
    answer = client.post("/policies/turning/backtest")
    assert answer.status_code == 201, answer.text
    body = answer.json()
    report = body["report"]
    assert (report["rows"], report["first"]) == (120, "2021-04-25T00:00:00Z")
    by_name = {each["name"]: each for each in report["strategies"]}
    assert list(by_name) == ["policy", "buy_and_hold", "flat", "random"]
    series = series_of(csv_of(rows(600)))
    grown = series.of("close")[ROWS.stop - 1] / series.of("open")[ROWS.start + 1]
    held = grown / (1.001 * 1.0005) - 1  # the costs of one purchase
    assert by_name["buy_and_hold"]["total_return"] == pytest.approx(held)
    assert by_name["policy"]["trades"] == 119, "in and out, each day"
    assert by_name["policy"]["turnover"] == pytest.approx(119, rel=0.01)
    assert by_name["policy"]["total_return"] < by_name["flat"]["total_return"] == 0
    assert len(report["times"]) == len(by_name["policy"]["equity"]) == 120
    assert "Past data promises nothing" in report["promise"]
    assert client.get(answer.headers["Location"]).json() == body
    assert client.get("/policies/turning/backtests").json()["data"] == [body]


def test_who_looks_is_counted(client: TestClient, job: str) -> None:
    looks = [client.post("/policies/turning:1/backtest").json()["look"] for _ in range(3)]
    assert looks == [1, 2, 3]


def test_the_rules_are_those_of_the_training(
    client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    trading_job(database, settings, tmp_path, fee=0.0, slippage=0.0, test_fraction=0.1)
    report = client.post("/policies/turning/backtest").json()["report"]
    assert report["rows"] == 60
    series = series_of(csv_of(rows(600)))
    grown = series.of("close")[599] / series.of("open")[541]
    assert report["strategies"][1]["total_return"] == pytest.approx(grown - 1)


def test_a_policy_that_does_not_trade_is_refused(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="swing")
    answer = client.post("/policies/swing/backtest")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "Policy swing:1 was trained in Pendulum-v1" in answer.json()["detail"]
    assert client.post("/policies/none/backtest").json()["code"] == "policy_not_found"
    assert client.get("/backtests/bt_0").json()["code"] == "backtest_not_found"
    assert row_counts(database)["backtests"] == 0


def test_a_file_that_was_changed_is_not_tested(
    client: TestClient, settings: Settings, job: str
) -> None:
    dataset = client.get("/datasets/walk").json()
    path = settings.artifact_dir / "datasets" / file_name(dataset["sha256"], dataset["id"])
    path.write_bytes(csv_of(rows(600, seed=1)))
    answer = client.post("/policies/turning/backtest")
    assert (answer.status_code, answer.json()["code"]) == (410, "file_gone")
    assert client.get("/datasets/walk").json()["job_count"] == 1


def test_it_goes_with_its_policy_and_the_count_stays(
    client: TestClient, database: Database, job: str
) -> None:
    client.post("/policies/turning/backtest")
    assert client.delete("/policies/turning").status_code == 204
    assert row_counts(database)["backtests"] == 0
    checkpoint = client.get(f"/jobs/{job}/checkpoints").json()["data"][0]["id"]
    client.post("/policies", json={"checkpoint_id": checkpoint})
    assert client.post("/policies/turning/backtest").json()["look"] == 2


def test_the_page_shows_it_and_says_what_it_is_worth(client: TestClient, job: str) -> None:
    button = 'action="/ui/policies/turning:1/backtest"'
    assert button in client.get(f"/ui/jobs/{job}").text
    page = client.post("/ui/policies/turning:1/backtest")
    assert page.url.path.startswith("/ui/backtests/bt_")
    text = text_of(page.text)
    assert "Past data promises nothing" in text
    assert "look number 1 at the test rows" in text
    for name in ("The policy", "Buy and hold", "Always flat", "Random actions"):
        assert name in text
    report = client.get(page.url.path.removeprefix("/ui")).json()["report"]
    assert (
        f"earned {report['strategies'][0]['total_return'] * 100:+.1f} %".replace(
            "-", "\N{MINUS SIGN}"
        )
        in text
    )
    lines = [tag for tag in read(page.text).tags if tag.name == "polyline"]
    assert len(lines) == 4
    assert all(len((line.attributes["points"] or "").split()) == 120 for line in lines)


@pytest.mark.parametrize(
    ("lead", "said"), [(0.1, "more than"), (0.0, "as much as"), (-0.1, "less than")]
)
def test_what_the_page_says_follows_from_the_report(
    client: TestClient, job: str, lead: float, said: str
) -> None:
    report = client.post("/policies/turning/backtest").json()["report"]
    told = _told(report | {"lead": lead, "confidence": 0.9})
    assert f"), {said} buy and hold" in told
    assert "(90 % interval" in told


def test_one_runs_at_once_and_no_upload_holds_it_up(
    app: FastAPI, client: TestClient, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Upload:
        async def __aenter__(self) -> None:
            raise AssertionError("a backtest waits for uploads to be checked")

        async def __aexit__(self, *_: object) -> None: ...

    report = client.post("/policies/turning/backtest").json()["report"]
    alone, shared = threading.Lock(), []

    def slow(*_: Any) -> Any:
        shared.append(not alone.acquire(blocking=False))
        time.sleep(0.2)
        if not shared[-1]:
            alone.release()
        return report

    monkeypatch.setattr(routes, "run_backtest", slow)
    app.state.checking = Upload()
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(client.post, ["/policies/turning/backtest"] * 3))
    assert [answer.status_code for answer in answers] == [201] * 3
    assert shared == [False] * 3
