"""Jobs and groups side by side over HTTP."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from cli import comparing
from store.database import Database
from store.groups import get_group, jobs_of
from store.policies import succeed
from store.settings import Settings
from tests.app.driving import claim, evaluate, spec, submit

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def trained(
    client: TestClient, database: Database, settings: Settings, means: list[float], **changes: Any
) -> str:
    """A group whose jobs have these mean returns at step 1000, from -500 on."""
    body = {**spec(**changes), "seeds": list(range(len(means)))}
    group = client.post("/jobs", json=body).json()
    for mean in means:
        taken = claim(database, settings)
        evaluate(database, taken, 0, [-500.0])
        evaluate(database, taken, 1_000, [mean])
        succeed(database, taken, weights_sha256="a", step=1_000)
    return str(group["id"])


@pytest.fixture
def two(client: TestClient, database: Database, settings: Settings) -> tuple[str, str]:
    return (
        trained(client, database, settings, [-300.0, -200.0], algorithm={"name": "sac"}),
        trained(client, database, settings, [-250.0, -100.0, -100.0]),
    )


def test_two_groups(client: TestClient, two: tuple[str, str]) -> None:
    found = client.get(f"/compare?ids={two[0]},{two[1]}&target=-200").json()

    assert (found["environment_id"], found["step"]) == ("Pendulum-v1", 1_000)
    assert (found["baseline"], found["confidence"]) == (two[0], 0.95)
    sac, mrq = found["sides"]
    assert (sac["algorithm"], sac["jobs"], mrq["algorithm"], mrq["jobs"]) == ("sac", 2, "mrq", 3)
    assert [point["step"] for point in sac["curve"]] == [0, 1_000]
    assert sac["curve"][1]["iqm"] == {"value": -250.0, "low": -300.0, "high": -200.0}
    assert mrq["at_end"]["iqm"]["value"] == -150.0
    assert sac["reached"] == {"n": 1, "steps": [None, 1_000], "median": None}
    assert mrq["reached"] == {"n": 2, "steps": [None, 1_000, 1_000], "median": 1_000.0}
    assert sac["improvement"]["value"] == 0.5
    assert mrq["improvement"]["value"] == pytest.approx(5 / 6)
    assert found["differences"]["algorithm.name"] == ["sac", "mrq"]
    assert "environment.id" not in found["differences"]


def test_another_baseline(client: TestClient, two: tuple[str, str]) -> None:
    found = client.get(f"/compare?ids={two[0]},{two[1]}&baseline={two[1]}").json()
    assert found["sides"][0]["improvement"]["value"] == pytest.approx(1 / 6)
    assert found["sides"][0]["reached"] is None


def test_a_job_that_was_not_evaluated_yet(
    client: TestClient, database: Database, two: tuple[str, str]
) -> None:
    job_id = submit(database)
    found = client.get(f"/compare?ids={two[0]},{job_id}").json()
    assert (found["step"], found["sides"][1]["curve"]) == (None, [])
    assert [side["at_end"] for side in found["sides"]] == [None, None]
    assert len(found["sides"][0]["curve"]) == 2


def test_what_cannot_be_compared(
    client: TestClient, database: Database, two: tuple[str, str]
) -> None:
    other = submit(database, environment={"id": "CartPole-v1"})
    first = two[0]
    cases = {
        f"ids={first}": (422, "ids", "names 1; allowed: 2 to 10"),
        f"ids={first},{first}": (422, "ids", "more than once"),
        f"ids={first},{other}": (422, "ids", f"{other} is of CartPole-v1, and {first} of Pendulum"),
        f"ids={first},job_none": (404, "ids", "job_none"),
        f"ids={first},grp_none": (404, "ids", "grp_none"),
        f"ids={first},{two[1]}&baseline=job_1": (422, "baseline", "is none of ids"),
        f"ids={first},{two[1]}&target=nan": (422, "target", "finite"),
        f"ids={first},{two[1]}&goal=1": (422, "goal", ""),
        "": (422, "ids", ""),
    }
    for query, (status, param, text) in cases.items():
        answer = client.get(f"/compare?{query}")
        assert (answer.status_code, answer.json().get("param")) == (status, param), query
        assert text in answer.json()["detail"], query


def test_returns_on_two_datasets_are_not_compared(
    client: TestClient, database: Database, two: tuple[str, str]
) -> None:
    with database.write() as session:
        for group, sha256 in zip(two, ("a" * 64, "b" * 64), strict=True):
            for job in jobs_of(session, get_group(session, group)):
                environment = job.spec["environment"] | {"dataset": {"sha256": sha256}}
                job.spec = job.spec | {"environment": environment}
    refusal = client.get(f"/compare?ids={two[0]},{two[1]}")
    assert (refusal.status_code, refusal.json()["param"]) == (422, "ids")
    assert "of one dataset" in refusal.json()["detail"]


def test_the_table_for_a_terminal(client: TestClient, two: tuple[str, str]) -> None:
    found = client.get(f"/compare?ids={two[0]},{two[1]}&target=-200").json()
    heading, sac, mrq = comparing.table(found)

    assert heading.split("\t")[4] == "IQM at 1000"
    assert sac.split("\t")[3:] == ["2", "-250 [-300, -200]", "1 of 2", "-"]
    assert mrq.split("\t")[4].startswith("-150 [")
    assert mrq.split("\t")[5] == "2 of 3, median 1000"
    assert mrq.split("\t")[6].startswith("0.8333 [")
    rows = list(comparing.curves(found))
    assert rows[0] == "id,step,n,iqm,low,high"
    assert rows[2] == f"{two[0]},1000,2,-250.0,-300.0,-200.0"
