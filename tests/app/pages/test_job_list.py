from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from store.database import Database
from store.jobs import JobFilter, list_jobs
from store.lifecycle import cancel_job
from store.settings import Settings
from store.states import Reason
from tests.app.driving import BEARER
from tests.app.pages.fake_training import FakeTraining, submit
from tests.app.pages.reading import fields, links, read, text_of


def _rows(html: str) -> list[str]:
    """Ids of the jobs shown, from above."""
    tags = read(html).tags
    return [
        tag.attributes["id"] or ""
        for tag in tags
        if tag.name == "tr" and (tag.attributes.get("id") or "").startswith("job_")
    ]


def test_an_empty_list_offers_the_example(browser: TestClient) -> None:
    page = browser.get("/ui/jobs")
    text = text_of(page.text)
    assert "No jobs yet" in text
    assert "curl -X POST http://testserver/jobs" in text
    assert '"environment":{"id":"Pendulum-v1"}' in text


def test_the_example_job_starts_once_however_often_it_is_sent(
    browser: TestClient, database: Database
) -> None:
    key = fields(browser.get("/ui/jobs").text)["key"]
    first = browser.post("/ui/jobs/example", data={"key": key}, follow_redirects=False)
    second = browser.post("/ui/jobs/example", data={"key": key}, follow_redirects=False)
    assert first.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    with database.read() as session:
        jobs, _ = list_jobs(session, JobFilter(), limit=10, cursor=None)
    assert [f"/ui/jobs/{job.id}" for job in jobs] == [first.headers["location"]]
    assert jobs[0].environment_id == "Pendulum-v1"


def test_another_visit_starts_another_example(browser: TestClient) -> None:
    keys = {fields(browser.get("/ui/jobs").text)["key"] for _ in range(2)}
    assert len(keys) == 2


def test_an_example_without_its_key_is_refused(browser: TestClient, database: Database) -> None:
    assert browser.post("/ui/jobs/example", data={}).status_code == 422
    with database.read() as session:
        assert list_jobs(session, JobFilter(), limit=10, cursor=None) == ([], None)


def test_a_row_says_how_its_job_stands(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    submit(database, name="walker")
    training = FakeTraining(database, settings)
    training.evaluate(2000, -100.0, -300.0)
    training.progress(4321, rate=200.0)
    text = text_of(browser.get("/ui/jobs").text)
    assert "walker running Pendulum-v1 43% 28 s left −200.0 200.0" in text  # noqa: RUF001


def test_before_there_is_a_rate_the_time_left_is_not_invented(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    submit(database)
    FakeTraining(database, settings).progress(10, rate=None)
    assert "estimating…" in text_of(browser.get("/ui/jobs").text)


def test_a_waiting_job_shows_its_place_in_the_queue(
    browser: TestClient, database: Database
) -> None:
    submit(database, name="first")
    submit(database, name="second")
    text = text_of(browser.get("/ui/jobs").text)
    assert "second queued Pendulum-v1 0% 2nd in queue" in text
    assert "first queued Pendulum-v1 0% 1st in queue" in text


def test_ended_jobs_say_where_they_stopped(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    submit(database, name="broken")
    training = FakeTraining(database, settings)
    training.progress(1234)
    training.fail(Reason.NON_FINITE, "NaN")
    cancel_job(database, submit(database, name="early").id)
    text = text_of(browser.get("/ui/jobs").text)
    assert "broken failed Pendulum-v1 12% stopped at step 1,234" in text
    assert "early cancelled Pendulum-v1 0% never started" in text


def test_a_job_asked_to_stop_is_cancelling(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database, name="walker")
    FakeTraining(database, settings)
    cancel_job(database, job.id)
    assert "walker cancelling" in text_of(browser.get("/ui/jobs").text)


def test_filters_stand_in_the_address_and_count_all_jobs(
    browser: TestClient, database: Database
) -> None:
    keep = submit(database, name="walker-1", environment={"id": "Walker2d-v5"})
    submit(database, name="walker-2")
    cancel_job(database, submit(database, name="walker-3").id)
    submit(database, name="cartpole", environment={"id": "CartPole-v1"})
    page = browser.get("/ui/jobs?status=queued&environment=Walker2d-v5&q=walker").text
    assert _rows(page) == [keep.id]
    assert "All 4 Running 0 Queued 3 Paused 0 Succeeded 0 Failed 0 Cancelled 1" in text_of(page)
    chip = next(link for link in links(page) if "status=cancelled" in link)
    assert parse_qs(urlsplit(chip).query) == {
        "status": ["cancelled"],
        "environment": ["Walker2d-v5"],
        "q": ["walker"],
    }
    assert fields(page)["q"] == "walker"


@pytest.mark.parametrize("query", ["q=nothing", "status=bogus", "q=%25", "environment=Nope-v0"])
def test_no_match_leads_back_to_all_jobs(
    browser: TestClient, database: Database, query: str
) -> None:
    submit(database)
    page = browser.get(f"/ui/jobs?{query}").text
    assert _rows(page) == []
    assert "No job matches." in text_of(page)
    assert "/ui/jobs" in links(page)


def test_older_pages_follow_by_link_and_keep_the_filter(
    browser: TestClient, database: Database
) -> None:
    jobs = [submit(database, name=f"seed-{number}") for number in range(45)]
    page, seen = "/ui/jobs?q=seed", []
    while page:
        html = browser.get(page).text
        seen += _rows(html)
        page = next((link for link in links(html) if "after=" in link and "seed" in link), "")
        page = page if "Older" in text_of(html) else ""
    assert seen == [job.id for job in reversed(jobs)]
    assert "/ui/jobs?q=seed" in links(html), "the last page leads back to the newest"


def test_a_broken_cursor_is_named(browser: TestClient) -> None:
    answer = browser.get("/ui/jobs?after=@@@")
    assert answer.status_code == 422
    assert "after=" in answer.text


def test_environments_that_no_worker_has_say_what_they_need(
    make_settings: Callable[..., Settings], database: Database
) -> None:
    with TestClient(create_app(make_settings(worker_extras="train")), headers=BEARER) as client:
        page = client.get("/ui/jobs").text
    assert '<option value="FetchReach-v4">FetchReach-v4 (needs the extra robotics)</option>' in page
    assert '<option value="Pendulum-v1">Pendulum-v1</option>' in page
    assert '<optgroup label="Strategy games">' in page
