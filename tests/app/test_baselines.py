"""Jobs of other algorithms over HTTP."""

import pytest
from starlette.testclient import TestClient

from store import extras
from store.database import Database
from tests.app.driving import spec, submit

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("path", ["/jobs", "/jobs?dry_run=true"])
def test_a_job_without_its_library_is_not_stored(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(
        extras, "find_spec", lambda name: None if name == "stable_baselines3" else object()
    )
    answer = client.post(path, json=spec(algorithm={"name": "sac"}))

    assert (answer.status_code, answer.json()["param"]) == (422, "algorithm.name")
    assert answer.json()["code"] == "algorithm_not_installed"
    assert answer.json()["install"] == "pip install 'mrq-service[baselines]'"
    assert "pip install 'mrq-service[baselines]'" in answer.json()["detail"]
    assert client.get("/jobs").json()["data"] == []
    assert client.post("/jobs?dry_run=true", json=spec()).status_code == 200


def test_a_clone_that_cannot_learn_there_is_refused(client: TestClient, database: Database) -> None:
    job_id = submit(database)
    answer = client.post(f"/jobs/{job_id}/clone", json={"algorithm": {"name": "dqn"}})

    assert (answer.status_code, answer.json()["param"]) == (422, "algorithm.name")
    assert "allowed for this: mrq, td3, sac, ppo" in answer.json()["detail"]


def test_the_page_names_the_algorithm(client: TestClient, database: Database) -> None:
    job_id = submit(database, algorithm={"name": "sac", "hyperparameters": {"batch_size": 64}})
    page = client.get(f"/ui/jobs/{job_id}").text

    assert "A baseline: algorithm <code>sac</code>." in page
    assert "1 value other than the defaults" in page
    assert "paper" not in page.partition("setup-title")[2].partition("Resolved spec")[0].replace(
        "<code>paper</code>", ""
    )
