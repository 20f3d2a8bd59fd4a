from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from app.backtesting import run_backtest
from app.serving.bundle import open_policy
from store.backtests import record_backtest, what_is_tested
from store.database import Database
from store.dataset_files import open_dataset_files
from store.policies import load_servable
from store.settings import Settings
from store.states import Reason
from tests.app.pages.fake_training import FakeTraining, submit
from tests.app.pages.test_group_page import launch
from tests.app.trading import trading_job
from tests.browser.conftest import Visit

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


@pytest.fixture
def backtest(database: Database, settings: Settings, tmp_path: Path) -> str:
    trading_job(database, settings, tmp_path)
    with database.read() as session:
        tested = what_is_tested(session, "turning")
        actor = open_policy(load_servable(session, tested.policy))
    report = run_backtest(open_dataset_files(settings), tested, actor)
    return record_backtest(database, tested, report).id


@pytest.fixture
def pages(database: Database, settings: Settings, backtest: str) -> dict[str, str]:
    """Addresses of pages in every state."""
    impatient = settings.model_copy(update={"backoff_seconds": 0})
    failed = submit(database, name="failed", labels={"team": "locomotion"})
    first = FakeTraining(database, impatient)
    first.learn(1000)
    first.lose("The trainer was killed by signal 9.")
    training = FakeTraining(database, settings)
    training.learn(2000)
    training.fail(Reason.NON_FINITE, "loss/value became NaN at step 2,212.")
    served = submit(database, name="served")
    training = FakeTraining(database, settings)
    training.learn(4000)
    training.succeed()
    running = submit(database, name="running-with-a-name-that-is-rather-long-for-a-narrow-screen")
    FakeTraining(database, settings).learn(3000)
    group = launch(database, 0, 1, 2)
    training = FakeTraining(database, settings)
    training.learn(4000)
    training.succeed()
    queued = submit(database, name="queued")
    return {
        "backtest": f"/ui/backtests/{backtest}",
        "group": f"/ui/job-groups/{group.id}",
        "question of a group": f"/ui/job-groups/{group.id}/cancel",
        "list": "/ui/jobs",
        "no match": "/ui/jobs?q=nothing",
        "failed": f"/ui/jobs/{failed.id}",
        "served": f"/ui/jobs/{served.id}",
        "running": f"/ui/jobs/{running.id}",
        "queued": f"/ui/jobs/{queued.id}",
        "question": f"/ui/jobs/{queued.id}/cancel",
    }


def _violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{v['id']}: {[node['html'][:120] for node in v['nodes']]}" for v in found]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing(
    visit: Callable[..., Visit], pages: dict[str, str], color_scheme: str
) -> None:
    visitor = visit(color_scheme=color_scheme, reduced_motion="reduce")
    for name, path in pages.items():
        page = visitor.open(path)
        for details in page.locator("details > summary").all():
            details.click()
        assert _violations(page) == [], name
    assert visitor.complaints == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing_in_an_open_dialog_or_an_empty_list(
    visit: Callable[..., Visit], database: Database, color_scheme: str
) -> None:
    visitor = visit(color_scheme=color_scheme, reduced_motion="reduce")
    assert _violations(visitor.open("/ui/jobs")) == []
    page = visitor.open(f"/ui/jobs/{submit(database).id}")
    page.get_by_role("button", name="Cancel job").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert _violations(page) == []


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("javascript", [True, False], ids=["live", "without-javascript"])
def test_nothing_scrolls_sideways(
    visit: Callable[..., Visit], pages: dict[str, str], width: int, javascript: bool
) -> None:
    visitor = visit(viewport={"width": width, "height": 800}, java_script_enabled=javascript)
    for name, path in pages.items():
        page = visitor.open(path)
        for details in page.locator("details > summary").all():
            details.click()
        # Page scripts are off in half of the cases; the browser's own measure is not.
        metrics = page.context.new_cdp_session(page).send("Page.getLayoutMetrics")
        assert metrics["cssContentSize"]["width"] <= width, name
