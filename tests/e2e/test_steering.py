"""Paused and resumed, or extended: byte for byte what a run straight through gives."""

from typing import Any

from tests.e2e.service import LiveService, tiny_job


def _ask(service: LiveService, job_id: str, action: str, **body: Any) -> dict[str, Any]:
    answer = service.client.post(f"/jobs/{job_id}/{action}", json=body)
    assert answer.status_code in (200, 202), answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_a_paused_job_gives_its_worker_back_and_goes_on_exactly(
    service: LiveService, undisturbed: dict[str, Any]
) -> None:
    job_id = service.submit(tiny_job())
    service.wait_for_step(job_id, 350)
    _ask(service, job_id, "pause")
    paused = service.wait(job_id, lambda job: job["status"] == "paused")
    assert 350 <= paused["progress"]["step"] < 700, "too late: a pause now would prove nothing"

    other = service.wait_for_end(service.submit(tiny_job(budget={"total_steps": 250})))
    assert other["status"] == "succeeded", "the worker is free"

    _ask(service, job_id, "resume")
    job = service.wait_for_end(job_id)
    assert (job["status"], job["weights_sha256"]) == ("succeeded", undisturbed["weights_sha256"])
    first, second = service.get(f"/jobs/{job_id}/attempts")["data"]
    assert (first["status"], second["fidelity"]) == ("paused", "exact")
    assert first["end_step"] == second["start_step"] == paused["progress"]["step"]
    evaluations = service.get(f"/jobs/{job_id}/evaluations")["data"]
    assert [row["step"] for row in evaluations] == [0, 200, 400, 600, 700]


def test_an_extended_job_ends_as_one_of_that_length(
    service: LiveService, undisturbed: dict[str, Any]
) -> None:
    job_id = service.submit(tiny_job(budget={"total_steps": 450}))
    shorter = service.wait_for_end(job_id)
    assert shorter["status"] == "succeeded"
    assert shorter["weights_sha256"] != undisturbed["weights_sha256"]

    _ask(service, job_id, "extend", total_steps=700)
    job = service.wait(job_id, lambda job: job["attempt"] == 2 and job["finished_at"] is not None)
    assert (job["status"], job["weights_sha256"]) == ("succeeded", undisturbed["weights_sha256"])
    assert job["policy"]["version"] > shorter["policy"]["version"]
