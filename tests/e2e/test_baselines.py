"""Baselines as jobs like any other: trained, paused, resumed, promoted, and asked for actions."""

from typing import Any

import pytest

from cli import comparing
from store.errors import SetupError
from tests.e2e.service import LiveService, tiny_job

SMALL = {"hidden_dim": 8, "batch_size": 8, "warmup_steps": 100, "buffer_size": 1000}
CASES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "dqn": ("CartPole-v1", SMALL, [0.0] * 4),
    "q_learning": ("Taxi-v4", {}, 17),
}


@pytest.mark.parametrize("name", CASES)
def test_trained_promoted_and_asked(service: LiveService, name: str) -> None:
    environment_id, values, observation = CASES[name]
    learns = {"name": name, "hyperparameters": values}
    job = service.wait_for_end(
        service.submit(
            tiny_job(
                name=f"tiny-{name}",
                environment={"id": environment_id},
                algorithm=learns,
                budget={"total_steps": 300},
            )
        )
    )
    assert job["status"] == "succeeded", job["status_message"]
    assert job["weights_sha256"]
    metrics = service.get(f"/jobs/{job['id']}/metrics")["keys"]
    assert {"train/return", "train/length", "loss/value"} <= set(metrics)
    policy = service.get(f"/policies/tiny-{name}")
    assert policy["environment_id"] == environment_id
    answers = [
        service.client.post(
            f"/policies/tiny-{name}/act", json={"observation": observation, "mode": mode}
        )
        for mode in ("deterministic", "sample")
    ]
    assert [a.status_code for a in answers] == [200, 200], answers[0].text + answers[1].text


def test_a_paused_baseline_goes_on_exactly(service: LiveService) -> None:
    spec = tiny_job(
        name="paused-td3",
        algorithm={"name": "td3", "hyperparameters": SMALL},
        budget={"total_steps": 500},
    )
    whole = service.wait_for_end(service.submit(spec))
    job_id = service.submit(spec)
    service.wait_for_step(job_id, 150)
    assert service.client.post(f"/jobs/{job_id}/pause").status_code in (200, 202)
    paused = service.wait(job_id, lambda job: job["status"] == "paused")
    assert 150 <= paused["progress"]["step"] < 500, "too late: a pause now would prove nothing"
    assert service.client.post(f"/jobs/{job_id}/resume").status_code in (200, 202)
    job = service.wait_for_end(job_id)

    assert (job["status"], job["weights_sha256"]) == ("succeeded", whole["weights_sha256"])
    fidelities = [a["fidelity"] for a in service.get(f"/jobs/{job_id}/attempts")["data"]]
    assert fidelities == ["none", "exact"]
    key = service.client.headers["Authorization"].removeprefix("Bearer ")
    same = comparing.ask(service.url, key, [whole["id"], job_id], target=1_000.0)
    assert same["step"] == 500
    assert [side["improvement"]["value"] for side in same["sides"]] == [0.5, 0.5]
    with pytest.raises(SetupError, match=r"nothing to compare: .*allowed: 2 to 10"):
        comparing.ask(service.url, key, [job_id], target=None)
    answer = service.client.post(
        "/policies/paused-td3/act", json={"observation": [1.0, 0.0, 0.0], "mode": "sample"}
    )
    assert answer.status_code == 200, answer.text
