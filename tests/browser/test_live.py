"""Pages that follow a training while they are open."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from store.database import Database
from store.lifecycle import cancel_job
from store.settings import Settings
from tests.app.pages.fake_training import FakeTraining, submit
from tests.browser.conftest import Server, Visit


def _picture(page: Page) -> str:
    picture: str = page.evaluate("document.querySelector('#chart canvas').toDataURL()")
    return picture


def test_a_job_is_followed_from_the_queue_to_its_policy(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    expect(page.get_by_text("1st in queue")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Live")

    training = FakeTraining(database, settings)
    expect(page.locator("#overview .status")).to_have_text("running")
    expect(page.get_by_text("estimating…")).to_be_visible()

    training.progress(500, rate=100.0, episode=-1300.0)
    training.evaluate(500, -1300.0, -1100.0)
    expect(page.locator(".events li").first).to_contain_text("Evaluated at step 500")
    expect(page.locator("#overview progress")).to_have_js_property("value", 0.05)
    expect(page.locator("#overview")).to_contain_text("1 min 35 s")
    expect(page).to_have_title("5% pendulum-small · mrq")
    expect(page.locator("#chart canvas")).to_be_visible()
    before = _picture(page)

    training.learn(4000, start=500)
    expect(page.locator(".events li").first).to_contain_text("checkpoint saved at step 4,000")
    expect(page.get_by_text("Table of evaluations")).to_be_visible()
    page.get_by_text("Table of evaluations").click()
    expect(page.locator("#evaluations tbody tr")).to_have_count(8)
    assert _picture(page) != before, "the curve was drawn anew"

    training.succeed()
    expect(page.locator("#overview .status")).to_have_text("succeeded")
    expect(page.get_by_role("heading", name="Served as pendulum-small:1")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)
    expect(page.locator("#connection")).to_have_text("")
    expect(page.locator("#evaluations table"), "what the reader opened stays open").to_be_visible()
    assert visitor.complaints == []


def test_the_spoken_summary_follows_but_not_at_once(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    visitor = visit()
    visitor.page.clock.install()
    page = visitor.open(f"/ui/jobs/{job.id}")
    summary = page.locator("#summary[role=status]")
    for step in (500, 1000):
        training.evaluate(step, -1300.0)
        expect(page.locator(".events li").first).to_contain_text(f"Evaluated at step {step:,}")
    expect(summary).not_to_contain_text("2 evaluations.")
    page.clock.fast_forward(10_000)
    expect(summary).to_contain_text("2 evaluations.")


def test_a_dropped_stream_is_said_and_nothing_is_missed(
    visit: Callable[..., Visit], database: Database, settings: Settings, server: Server
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    page = visit().open(f"/ui/jobs/{job.id}")
    expect(page.locator("#connection")).to_have_text("Live")
    server.stop()
    expect(page.locator("#connection")).to_have_text("Reconnecting…")
    training.evaluate(500, -1300.0)
    server.start()
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator(".events li").first).to_contain_text("Evaluated at step 500")


def test_the_list_follows_and_leaves_focus_and_text_alone(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    visitor = visit()
    page = visitor.open("/ui/jobs")
    page.get_by_role("searchbox").fill("half typed")
    training = FakeTraining(database, settings)
    row = page.locator(f"#{job.id}")
    expect(row.locator(".status")).to_have_text("running")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("half typed")

    row.get_by_role("link").focus()
    training.progress(2500)
    newer = submit(database, name="newer")
    expect(row.locator(".meter")).to_contain_text("25%")
    expect(page.locator(f"#{newer.id}")).to_be_visible()
    expect(row.get_by_role("link")).to_be_focused()
    assert visitor.complaints == []


def test_a_zoom_survives_new_points(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.learn(4000)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    over = page.locator("#chart .u-over")
    box = over.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 20, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, middle, steps=5)
    page.mouse.up()
    training.evaluate(4500, -200.0, -190.0)
    expect(page.locator(".events li").first).to_contain_text("Evaluated at step 4,500")
    page.mouse.move(box["x"] + box["width"] - 5, middle)
    expect(page.locator("#chart .u-legend .u-value").first).to_have_text(
        re.compile(r"^[12],\d{3}$")
    )
    assert visitor.complaints == []


@pytest.mark.parametrize("path", ["/ui/jobs", "/ui/jobs/{id}"])
def test_a_session_that_ends_leads_to_the_way_in(
    visit: Callable[..., Visit], database: Database, settings: Settings, path: str
) -> None:
    job = submit(database)
    page = visit().open(path.format(id=job.id))
    page.context.clear_cookies()
    FakeTraining(database, settings)
    expect(page.get_by_text("mrq login-link")).to_be_visible()


def test_a_refresh_that_fails_is_tried_again(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    page = visit().open(f"/ui/jobs/{job.id}")
    answers = iter([503])

    def fail_once(route: Route) -> None:
        status = next(answers, None)
        route.continue_() if status is None else route.fulfill(status=status)

    page.route("**/overview", fail_once)
    cancel_job(database, job.id)
    expect(page.locator("#overview .status")).to_have_text("cancelled", timeout=10_000)
