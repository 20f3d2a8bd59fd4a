"""What people do on the pages: by mouse, by keyboard, without JavaScript."""

from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import expect

from store.database import Database
from store.jobs import get_job
from store.lifecycle import phase_of
from store.settings import Settings
from store.states import Reason
from tests.app.pages.fake_training import FakeTraining, submit
from tests.browser.conftest import Visit


def test_the_example_job_is_one_click_away(visit: Callable[..., Visit]) -> None:
    visitor = visit()
    page = visitor.open("/ui/jobs")
    page.get_by_role("button", name="Start example job").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("pendulum-example")
    assert visitor.complaints == []


def test_cancelling_by_keyboard(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    FakeTraining(database, settings)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    cancel = page.get_by_role("button", name="Cancel job")
    cancel.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Cancel pendulum-small?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cancel).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Keep it running").click()
    expect(dialog).to_be_hidden()
    with database.read() as session:
        assert phase_of(get_job(session, job.id)) == "running"

    cancel.click()
    dialog.get_by_role("button", name="Cancel job").click()
    expect(page.locator("#overview .status")).to_have_text("cancelling")
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)
    assert visitor.complaints == []


def test_pausing_resuming_and_retrying(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    status = page.locator("#overview .status")
    page.get_by_role("button", name="Pause").click()
    expect(status).to_have_text("paused")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(status).to_have_text("queued")
    expect(page.locator("#overview")).to_contain_text(
        "Back in the queue because it was resumed on request"
    )

    training = FakeTraining(database, settings)
    page.reload()
    page.get_by_role("button", name="Pause").click()
    expect(status).to_have_text("pausing")
    page.get_by_role("button", name="Resume").click()
    expect(status).to_have_text("running")
    training.fail(Reason.NON_FINITE, "loss/value became NaN")
    expect(status).to_have_text("failed")  # the page is told of it
    page.get_by_role("button", name="Retry").click()
    expect(status).to_have_text("queued")
    assert visitor.complaints == []


def test_promoting_in_the_dialog(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    FakeTraining(database, settings).evaluate(500, -1200.0)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    page.get_by_role("button", name="Promote the checkpoint of step 500").click()
    dialog = page.get_by_role("dialog", name="Promote step 500?")
    dialog.get_by_label("Policy name").fill("champion")
    dialog.get_by_role("button", name="Promote").click()
    expect(page.get_by_role("heading", name="Served as champion:1")).to_be_visible()
    assert visitor.complaints == []


def test_the_act_command_can_be_copied(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.evaluate(500, -1200.0)
    training.succeed()
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.open(f"/ui/jobs/{job.id}")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl -X POST {visitor.url}/policies/pendulum-small:1/act \\\n")


def test_the_skip_link_is_the_first_stop(visit: Callable[..., Visit]) -> None:
    page = visit().open("/ui/jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_arrow_keys_walk_the_curve(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.evaluate(500, -1200.0)
    training.evaluate(1000, -300.0)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    page.locator("#chart [role=application]").focus()
    spoken = page.locator("#chart [aria-live]")
    for key, said in [("Right", "500"), ("Right", "1,000"), ("Left", "500")]:
        page.keyboard.press(f"Arrow{key}")
        expect(spoken).to_contain_text(f"Step {said}: mean return")
    assert visitor.complaints == []


def test_the_theme_switches(visit: Callable[..., Visit]) -> None:
    page = visit(color_scheme="light").open("/ui/jobs")
    white = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(white)
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(white) != light


def test_all_can_be_read_and_done_without_javascript(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    FakeTraining(database, settings).learn(2000)
    page = visit(java_script_enabled=False).open("/ui/jobs")
    page.get_by_role("searchbox", name="Name").fill("pendulum")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="pendulum-small").click()
    expect(page.locator("svg.drawing .mean")).to_be_visible()
    page.get_by_text("Table of evaluations").click()
    expect(page.get_by_role("row").filter(has_text="2,000").first).to_be_visible()
    page.get_by_role("button", name="Cancel job").click()
    page.get_by_role("button", name="Cancel job").click()
    expect(page).to_have_url(f"{page.url.split('/ui')[0]}/ui/jobs/{job.id}")
    expect(page.locator("#overview .status")).to_have_text("cancelling")


def test_a_first_visit_takes_few_requests_and_none_elsewhere(
    visit: Callable[..., Visit], database: Database, settings: Settings
) -> None:
    job = submit(database)
    FakeTraining(database, settings).learn(2000)
    visitor = visit()
    page = visitor.open(f"/ui/jobs/{job.id}")
    expect(page.locator("#connection")).to_have_text("Live")
    asked = [url for url in visitor.requested if not url.startswith("data:")]
    first = [url for url in asked if "/static/" in url or "/events" in url] + [page.url]
    assert len(first) <= 10
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(visitor.url).netloc}
