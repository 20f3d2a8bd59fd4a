from fastapi.testclient import TestClient

from store.database import Database
from store.groups import submit_group
from store.seeds import JobRequest
from store.settings import Settings
from store.tables import JobGroup
from tests.app.pages.fake_training import SPEC, FakeTraining
from tests.app.pages.reading import links, read, text_of


def launch(database: Database, *seeds: int, **changes: object) -> JobGroup:
    plain = {key: value for key, value in SPEC.items() if key != "seed"}
    request = JobRequest.model_validate(plain | {"seeds": list(seeds)} | changes)
    return submit_group(database, request.resolved_name(), request.specs())[0]


def test_a_group_that_waits(browser: TestClient, database: Database) -> None:
    group = launch(database, 0, 1, 2)
    html = browser.get(f"/ui/job-groups/{group.id}").text
    text = text_of(html)
    assert "queued Pendulum-v1 3 seeds 3 queued" in text
    assert "The curve begins with the first evaluation" in text
    assert "No result yet: of 3 jobs none has succeeded. Not in it: 3 queued." in text
    assert f"/ui/job-groups/{group.id}/cancel" in links(html)
    assert sum(link.startswith("/ui/jobs/job_") for link in links(html)) == 3


def test_the_summary_says_what_it_leaves_out(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    group = launch(database, 0, 1, 2)
    for mean in (-100.0, -300.0):
        training = FakeTraining(database, settings)
        training.evaluate(500, -900.0)
        training.evaluate(10_000, mean)
        training.succeed()
    html = browser.get(f"/ui/job-groups/{group.id}").text
    text = text_of(html)
    told = "\N{MINUS SIGN}200.0 (95 % interval \N{MINUS SIGN}300.0 to \N{MINUS SIGN}100.0)"
    assert f"last evaluations of 2 of 3 jobs: {told}. Not in it: 1 queued." in text
    assert "pendulum-small-seed-1:1" in text
    tags = read(html).tags
    assert [tag.name for tag in tags].count("polygon") == 1
    dots = [tag for tag in tags if tag.attributes.get("class") == "dot"]
    assert len(dots) == 2, "one for each evaluated step"


def test_an_infinite_return_leaves_the_curve_drawable(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    group = launch(database, 0, 1)
    training = FakeTraining(database, settings)
    training.evaluate(500, -900.0)
    training.evaluate(1_000, float("inf"))
    answer = browser.get(f"/ui/job-groups/{group.id}")
    assert answer.status_code == 200
    assert "inf" not in next(
        tag.attributes["points"] or "" for tag in read(answer.text).tags if tag.name == "polyline"
    )


def test_buttons_steer_every_job_and_cancelling_asks_first(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    group = launch(database, 0, 1)
    FakeTraining(database, settings).succeed()
    page = f"/ui/job-groups/{group.id}"
    text = text_of(browser.post(f"{page}/pause").text)
    assert "1 paused" in text
    assert "1 succeeded" in text
    assert "Resume all" in text
    assert "Pause all" not in text
    question = text_of(browser.get(f"{page}/cancel").text)
    assert "Cancel all jobs of pendulum-small?" in question
    assert "1 cancelled" in text_of(browser.post(f"{page}/cancel").text)
    assert browser.post(f"{page}/delete").status_code == 422


def test_the_page_of_a_job_leads_to_its_group(browser: TestClient, database: Database) -> None:
    group = launch(database, 0, 1)
    html = browser.get(f"/ui/job-groups/{group.id}").text
    job = next(link for link in links(html) if link.startswith("/ui/jobs/job_"))
    assert f"/ui/job-groups/{group.id}" in links(browser.get(job).text)


def test_an_unknown_group_is_a_page_that_says_so(browser: TestClient) -> None:
    answer = browser.get("/ui/job-groups/grp_none")
    assert answer.status_code == 404
    assert "grp_none" in text_of(answer.text)
