"""From POST /jobs to an action, with a real broker, a real worker and a real server."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import LiveService, live_service, tiny_job


def test_a_job_is_trained_promoted_and_acts(
    service: LiveService, undisturbed: dict[str, Any]
) -> None:
    job = undisturbed
    assert job["status_reason"] == "budget_exhausted"
    assert job["progress"]["step"] == job["progress"]["total_steps"] == 700
    assert job["policy"]["name"] == "tiny"
    evaluations = service.get(f"/jobs/{job['id']}/evaluations")["data"]
    assert [row["step"] for row in evaluations] == [0, 200, 400, 600, 700]
    assert all(len(row["returns"]) == 2 for row in evaluations)
    best = max(evaluations, key=lambda row: (row["return_mean"], row["step"]))
    assert job["best"]["return_mean"] == best["return_mean"]
    reference = f"tiny:{job['policy']['version']}"
    answer = service.client.post(
        f"/policies/{reference}/act", json={"observation": [1.0, 0.0, 0.0]}
    )
    assert answer.status_code == 200, answer.text
    (torque,) = answer.json()["action"]
    assert -2.0 <= torque <= 2.0
    assert answer.json()["policy_id"] == job["policy"]["id"]


def test_metrics_cover_the_run_and_no_step_comes_twice(
    service: LiveService, undisturbed: dict[str, Any]
) -> None:
    body = service.get(f"/jobs/{undisturbed['id']}/metrics")
    assert {"train/return", "loss/encoder", "loss/value", "loss/policy"} <= set(body["keys"])
    for series in body["series"]:
        steps = [step for step, _ in series["points"]]
        assert steps == sorted(set(steps))


def test_a_running_job_is_cancelled_within_seconds(service: LiveService) -> None:
    job_id = service.submit(tiny_job(budget={"total_steps": 100_000}, name="long"))
    service.wait_for_step(job_id, 100)
    assert service.client.post(f"/jobs/{job_id}/cancel").status_code == 202
    job = service.wait_for_end(job_id)
    assert (job["status"], job["status_reason"]) == ("cancelled", "cancelled_by_user")
    again = service.client.post(f"/jobs/{job_id}/cancel")
    assert again.status_code == 409
    assert again.json()["code"] == "transition_refused"


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "FrozenLake-v1", "Blackjack-v1"])
def test_discrete_actions_and_observations(service: LiveService, environment_id: str) -> None:
    name = environment_id.lower()
    spec = tiny_job(name=name, environment={"id": environment_id}, budget={"total_steps": 300})
    job = service.wait_for_end(service.submit(spec))
    assert job["status"] == "succeeded", job["status_message"]
    example = {"CartPole-v1": [0.0] * 4, "FrozenLake-v1": 3, "Blackjack-v1": [14, 6, 0]}
    answer = service.client.post(
        f"/policies/{name}/act", json={"observation": example[environment_id]}
    )
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json()["action"], int)


def test_pixels_and_a_job_submitted_again_as_it_was_resolved(service: LiveService) -> None:
    spec = tiny_job(name="catch", environment={"id": "mrq/Catch-v0"}, budget={"total_steps": 230})
    job = service.wait_for_end(service.submit(spec))
    assert job["status"] == "succeeded", job["status_message"]
    fact = {"kind": "pixels", "shape": [4, 42, 42]}
    assert job["spec"]["environment"]["observation"] == fact
    again = service.client.post("/jobs?dry_run=true", json=job["spec"])
    assert again.json()["spec"] == job["spec"]
    policy = service.get("/policies/catch")
    assert (policy["environment_id"], policy["history"]) == ("mrq/Catch-v0", 4)
    frame = [[[0] * 42 for _ in range(42)]]
    answer = service.client.post("/policies/catch/act", json={"observation": [frame] * 4})
    assert answer.status_code == 200, answer.text
    assert answer.json()["action"] in (0, 1, 2)


def test_masks_from_the_environment_to_the_action(service: LiveService) -> None:
    spec = tiny_job(name="taxi", environment={"id": "Taxi-v4"}, budget={"total_steps": 300})
    job = service.wait_for_end(service.submit(spec))
    assert job["status"] == "succeeded", job["status_message"]
    for allowed in range(6):
        mask = [int(choice == allowed) for choice in range(6)]
        body = {"observation": 314, "action_mask": mask}
        assert service.client.post("/policies/taxi/act", json=body).json()["action"] == allowed


@pytest.mark.parametrize("empty_database_url", ["postgresql"], indirect=True)
def test_the_same_on_postgresql(tmp_path: Path, empty_database_url: str) -> None:
    database = {"MRQ_DATABASE_URL": empty_database_url}
    with live_service(tmp_path / "data", environment=database) as service:
        job = service.wait_for_end(service.submit(tiny_job(budget={"total_steps": 300})))
        assert job["status"] == "succeeded", job["status_message"]
        answer = service.client.post("/policies/tiny/act", json={"observation": [1.0, 0.0, 0.0]})
        assert answer.status_code == 200
    assert not (tmp_path / "data" / "mrq.db").exists()
