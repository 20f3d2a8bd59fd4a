import pytest
from fastapi.testclient import TestClient

from store.database import Database
from store.jobs import get_job
from store.lifecycle import phase_of
from store.policies import find_policy
from store.settings import Settings
from tests.app.pages.fake_training import FakeTraining, submit
from tests.app.pages.reading import fields, text_of


def _phase(database: Database, job_id: str) -> str:
    with database.read() as session:
        return phase_of(get_job(session, job_id))


def test_cancelling_asks_first(browser: TestClient, database: Database, settings: Settings) -> None:
    job = submit(database)
    FakeTraining(database, settings)
    question = browser.get(f"/ui/jobs/{job.id}/cancel").text
    assert "Cancel pendulum-small?" in text_of(question)
    assert _phase(database, job.id) == "running"
    answer = browser.post(f"/ui/jobs/{job.id}/cancel", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job.id}")
    assert _phase(database, job.id) == "cancelling"


def test_cancelling_twice_is_explained(browser: TestClient, database: Database) -> None:
    job = submit(database)
    browser.post(f"/ui/jobs/{job.id}/cancel")
    answer = browser.post(f"/ui/jobs/{job.id}/cancel")
    assert answer.status_code == 409
    assert f"Job {job.id} is cancelled" in answer.text


def test_promoting_makes_the_next_version(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    checkpoint = FakeTraining(database, settings).evaluate(500, -1200.0)
    page = f"/ui/jobs/{job.id}/promote"
    question = browser.get(f"{page}?checkpoint_id={checkpoint}").text
    assert "Promote step 500?" in text_of(question)
    form = fields(question)
    assert (form["checkpoint_id"], form["name"]) == (checkpoint, "pendulum-small")
    for version in (1, 2):
        shown = browser.post(page, data={"checkpoint_id": checkpoint, "name": "champion"})
        assert f"Served as champion:{version}" in text_of(shown.text)
    with database.read() as session:
        assert find_policy(session, "champion:2").checkpoint_id == checkpoint


@pytest.mark.parametrize("name", ["", "a b", "../up", "pol_1", "x" * 129, "<b>"])
def test_a_name_that_cannot_be_an_address_is_refused(
    browser: TestClient, database: Database, settings: Settings, name: str
) -> None:
    job = submit(database)
    checkpoint = FakeTraining(database, settings).evaluate(500, -1200.0)
    data = {"checkpoint_id": checkpoint, "name": name}
    answer = browser.post(f"/ui/jobs/{job.id}/promote", data=data)
    assert answer.status_code == 422
    assert "<b>" not in answer.text
    assert "Served as" not in browser.get(f"/ui/jobs/{job.id}").text


def test_a_checkpoint_of_another_job_is_not_found(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    submit(database)
    checkpoint = FakeTraining(database, settings).evaluate(500, -1200.0)
    other = submit(database)
    page = f"/ui/jobs/{other.id}/promote"
    assert browser.get(f"{page}?checkpoint_id={checkpoint}").status_code == 404
    data = {"checkpoint_id": checkpoint, "name": "stolen"}
    assert browser.post(page, data=data).status_code == 404


@pytest.mark.parametrize("path", ["/ui/jobs/example", "/ui/jobs/{id}/cancel", "/ui/theme"])
@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    ids=["cross-site", "same-site"],
)
def test_another_site_s_form_changes_nothing(
    browser: TestClient, database: Database, path: str, headers: dict[str, str]
) -> None:
    job = submit(database)
    data = {"key": "k", "theme": "dark"}
    answer = browser.post(path.format(id=job.id), data=data, headers=headers)
    assert answer.status_code == 403
    assert _phase(database, job.id) == "queued"
    assert "mrq_theme" not in browser.cookies


@pytest.mark.parametrize("path", ["/ui/jobs", "/ui/jobs/job_1", "/ui/jobs/job_1/results"])
def test_without_a_session_the_page_says_how_to_log_in(visitor: TestClient, path: str) -> None:
    answer = visitor.get(path)
    assert answer.status_code == 401
    assert "mrq login-link" in text_of(answer.text)
    assert "<form" not in answer.text, "nothing can be sent without a session"


def test_the_theme_is_remembered(browser: TestClient) -> None:
    assert "data-theme" not in browser.get("/ui/jobs").text
    form = fields(browser.get("/ui/jobs").text)
    assert form["theme"] == "light"
    shown = browser.post("/ui/theme", data={"theme": "dark", "back": "/ui/jobs"})
    assert '<html lang="en" data-theme="dark">' in shown.text
    assert fields(shown.text)["theme"] == "system"


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/ui/\\evil", "", "/\t/evil.example"]
)
def test_the_theme_leads_only_to_our_own_pages(browser: TestClient, back: str) -> None:
    data = {"theme": "dark", "back": back}
    answer = browser.post("/ui/theme", data=data, follow_redirects=False)
    if back:
        assert answer.headers["location"] == "/ui/jobs"


def test_an_unknown_theme_is_not_remembered(browser: TestClient) -> None:
    browser.post("/ui/theme", data={"theme": '"><script>', "back": "/ui/jobs"})
    browser.cookies.set("mrq_theme", "x")
    assert "data-theme" not in browser.get("/ui/jobs").text
