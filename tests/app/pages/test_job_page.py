import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from store.database import Database
from store.deletion import delete_job
from store.lifecycle import cancel_job
from store.settings import Settings
from store.states import Reason
from tests.app.bundles import pixel_bundle
from tests.app.driving import trained_job, whole_manifests
from tests.app.pages.fake_training import FakeTraining, submit
from tests.app.pages.reading import links, read, text_of


def _attribute(html: str, name: str) -> str:
    """Of the one tag that has it."""
    (value,) = [tag.attributes[name] for tag in read(html).tags if name in tag.attributes]
    return value or ""


def test_a_budget_within_the_warm_up_is_pointed_out(
    browser: TestClient, database: Database
) -> None:
    def shown(**changes: Any) -> str:
        return text_of(browser.get(f"/ui/jobs/{submit(database, **changes).id}").text)

    assert "Warning: budget.total_steps=10000" in shown(algorithm={"preset": "paper"})
    assert "Warning:" not in shown()


def test_a_waiting_job(browser: TestClient, database: Database) -> None:
    job = submit(database, labels={"team": "locomotion"})
    text = text_of(browser.get(f"/ui/jobs/{job.id}").text)
    assert "pendulum-small queued Pendulum-v1 seed 3 submitted" in text
    assert "team=locomotion" in text
    assert "Step 0 of 10,000 Queue 1st in queue Best return –" in text  # noqa: RUF001
    assert "The curve begins with the first evaluation, before the first step." in text
    assert "No evaluation yet." in text


def test_a_running_job_shows_its_curve_without_javascript(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.progress(250, episode=-1200.0)
    training.evaluate(500, -1300.0, -1100.0)
    training.save(500)
    training.evaluate(1000, -400.0, -200.0)
    training.progress(1100, rate=50.0)
    html = browser.get(f"/ui/jobs/{job.id}").text
    text = text_of(html)
    assert "pendulum-small running Pendulum-v1 seed 3 attempt 1" in text
    assert "Step 1,100 of 10,000 Time left 2 min 58 s Speed 50.0 steps/s" in text
    assert (
        "2 evaluations. The latest, at step 1,000: mean return −300.0 over 2 episodes "  # noqa: RUF001
        "(−400.0 to −200.0). Best: −300.0 at step 1,000. The first, at step 500: −1,200."  # noqa: RUF001
    ) in text
    assert "1,000 −300.0 best −400.0 −200.0 2 200.0" in text, "the table of evaluations"  # noqa: RUF001
    assert "Evaluated at step 1,000: mean return −300.0 over 2 episodes. Best so far." in text  # noqa: RUF001
    circles = [tag for tag in read(html).tags if tag.attributes.get("class") == "dot"]
    assert len(circles) == 2


def test_the_chart_gets_the_same_numbers(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.progress(250, episode=-1200.5)
    training.evaluate(500, -1300.0, -1100.0)
    training.save(500)
    curve: dict[str, Any] = json.loads(
        _attribute(browser.get(f"/ui/jobs/{job.id}").text, "data-curve")
    )
    assert curve == {
        "step": [500],
        "mean": [-1200.0],
        "low": [-1300.0],
        "high": [-1100.0],
        "episodeStep": [250],
        "episodeReturn": [-1200.5],
        "checkpoints": [500],
        "best": 500,
        "total": 10_000,
    }


def test_a_resumed_job_shows_its_attempts_and_no_step_twice(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    first = FakeTraining(database, settings.model_copy(update={"backoff_seconds": 0}))
    first.evaluate(500, -1000.0)
    first.lose("The trainer was killed by signal 9.")
    FakeTraining(database, settings).evaluate(500, -900.0)
    text = text_of(browser.get(f"/ui/jobs/{job.id}").text)
    assert (
        "1 lost the trainer process died: The trainer was killed by signal 9. No checkpoint yet. "
        "0 500 -9 gpu-0" in text
    )
    assert "1 evaluation. The latest, at step 500: mean return −900.0" in text  # noqa: RUF001
    assert "Back in the queue: the trainer process died." in text


def test_a_job_with_one_attempt_has_no_table_of_attempts(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    FakeTraining(database, settings)
    assert "Why it ended" not in browser.get(f"/ui/jobs/{job.id}").text


def test_a_failed_job_says_why_and_what_to_do(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.fail(Reason.NON_FINITE, "loss/value became NaN at step 4,212.")
    html = browser.get(f"/ui/jobs/{job.id}").text
    text = text_of(html)
    assert "A value became NaN or infinite loss/value became NaN at step 4,212." in text
    assert "What to do: Lower the learning rates" in text
    assert f"/ui/jobs/{job.id}/cancel" not in links(html)


def test_a_finished_job_is_served_with_a_command_that_fits(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    training.evaluate(10_000, -150.0)
    training.succeed()
    text = text_of(browser.get(f"/ui/jobs/{job.id}").text)
    assert "Served as pendulum-small:1 From step 10,000, mean return −150.0." in text  # noqa: RUF001
    assert "curl -X POST http://testserver/policies/pendulum-small:1/act" in text
    assert """-d '{"observation":[0.6,-0.8,0.1235]}'""" in text
    assert "observation.json" not in text
    assert "Succeeded: the step budget is used up." in text


def test_checkpoints_can_be_told_apart(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    identity = training.evaluate(500, -1200.0)
    training.save(500)
    html = browser.get(f"/ui/jobs/{job.id}").text
    assert "500 policy −1,200 best 21 B" in text_of(html)  # noqa: RUF001
    assert "500 training 4.2 MB abababab" in text_of(html)
    promote = [link for link in links(html) if "/promote" in link]
    assert promote == [f"/ui/jobs/{job.id}/promote?checkpoint_id={identity}"]


def test_hyperparameters_that_differ_from_the_paper_come_first(
    browser: TestClient, database: Database
) -> None:
    paper = submit(database, algorithm={})
    text = text_of(browser.get(f"/ui/jobs/{paper.id}").text)
    assert "All 39 are the paper's." in text
    changed = submit(database, algorithm={"hyperparameters": {"discount": 0.98}})
    text = text_of(browser.get(f"/ui/jobs/{changed.id}").text)
    assert "1 value other than the paper's: discount 0.98 paper: 0.99" in text


def test_the_spec_can_be_submitted_again(browser: TestClient, database: Database) -> None:
    job = submit(database)
    text = text_of(browser.get(f"/ui/jobs/{job.id}").text)
    _, _, command = text.partition("Submit this job again")
    body = command[command.index("{") : command.rindex("}") + 1]
    assert json.loads(body) == job.spec


def test_cancelled_while_running(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    cancel_job(database, job.id)
    assert "The worker saves a checkpoint and stops." in browser.get(f"/ui/jobs/{job.id}").text
    training.stop_on_request()
    assert "cancelled" in text_of(browser.get(f"/ui/jobs/{job.id}").text)


def test_only_the_newest_events_are_listed(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    training = FakeTraining(database, settings)
    for step in range(1, 61):
        training.evaluate(step, float(step))
    html = browser.get(f"/ui/jobs/{job.id}").text
    listed = [t for t in read(html).tags if (t.attributes.get("id") or "").startswith("event-")]
    assert len(listed) == 50
    assert listed[0].attributes["id"] == "event-63"
    assert f"Older ones: GET /jobs/{job.id}/events" in text_of(html)


@pytest.mark.parametrize("part", ["", "/overview", "/results", "/cancel", "/promote"])
def test_an_unknown_job_is_a_readable_404(browser: TestClient, part: str) -> None:
    answer = browser.get(f"/ui/jobs/job_nope{part}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "job_nope" in answer.text


def test_the_live_parts_are_the_page_s_own(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    """What htmx morphs in is the very text that a reload would show."""
    job = submit(database)
    training = FakeTraining(database, settings)
    training.evaluate(500, -1200.0)
    training.fail(Reason.ENVIRONMENT_ERROR, "no such file")
    whole = text_of(browser.get(f"/ui/jobs/{job.id}").text)
    assert text_of(browser.get(f"/ui/jobs/{job.id}/results").text) in whole
    assert text_of(browser.get(f"/ui/jobs/{job.id}/overview").text).split(" now ")[0] in whole


def test_the_curve_says_how_actions_were_chosen(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job = submit(database)
    FakeTraining(database, settings).evaluate(500, -1300.0)
    text = text_of(browser.get(f"/ui/jobs/{job.id}").text)
    assert "Evaluated with the policy's best action, without noise ( deterministic )." in text


def test_how_observations_reach_the_network_is_shown(
    browser: TestClient, database: Database
) -> None:
    def shown(environment_id: str) -> str:
        job = submit(database, environment={"id": environment_id})
        return text_of(browser.get(f"/ui/jobs/{job.id}").text)

    assert "Observations reach the network as a flat vector, 3." in shown("Pendulum-v1")
    pixels = "pixels, 12 \N{MULTIPLICATION SIGN} 96 \N{MULTIPLICATION SIGN} 96"
    told = f"Observations reach the network as {pixels}, the latest 4 frames together."
    assert told in shown("CarRacing-v3")


def test_a_served_pixel_policy_is_asked_with_a_file(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings, pixel_bundle(), name="seen")
    html = browser.get(f"/ui/jobs/{job_id}").text
    text = text_of(html)
    assert "-d @observation.json" in text
    assert 'observation.json holds {"observation": ...} , and in it' in text
    assert "observation : The latest 2 observations, oldest first" in text
    assert len(html) < 100_000


def test_the_page_of_a_pixel_policy_reads_no_golden_pairs(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings, pixel_bundle(), name="seen")
    with whole_manifests() as read_manifests:
        assert browser.get(f"/ui/jobs/{job_id}").status_code == 200
    assert read_manifests == []


def test_what_it_begins_with_is_told(
    browser: TestClient, database: Database, settings: Settings
) -> None:
    source = submit(database)
    training = FakeTraining(database, settings)
    training.save(500)
    child = submit(database, init_from={"job_id": source.id, "load": "all"})
    identity = child.init_checkpoint_id
    html = browser.get(f"/ui/jobs/{child.id}").text
    assert f"begins from {identity} of {source.name} , replay included" in text_of(html)
    assert f"/ui/jobs/{source.id}#{identity}" in links(html)
    assert f'id="{identity}"' in browser.get(f"/ui/jobs/{source.id}").text
    assert "begins from" not in text_of(browser.get(f"/ui/jobs/{source.id}").text)
    cancel_job(database, child.id)
    training.stop_on_request()
    delete_job(database, source.id)
    text = text_of(browser.get(f"/ui/jobs/{child.id}").text)
    assert f"begins from {identity} of {source.id} , which is deleted" in text
