"""A job that begins with what another one has learnt, in a real service."""

from typing import Any

import pytest

from tests.e2e.service import LiveService, tiny_job

STEPS = 500


def _child(source: dict[str, Any], load: str, **changes: Any) -> dict[str, Any]:
    begins = {"job_id": source["id"], "load": load}
    return tiny_job(name=f"child-{load}", budget={"total_steps": STEPS}, init_from=begins) | changes


def _done(service: LiveService, job_id: str) -> dict[str, Any]:
    job = service.wait_for_end(job_id)
    assert job["status"] == "succeeded", job["status_message"]
    return job


def _returns(service: LiveService, job_id: str) -> list[tuple[int, list[float]]]:
    rows = service.get(f"/jobs/{job_id}/evaluations")["data"]
    return [(row["step"], row["returns"]) for row in rows]


@pytest.mark.parametrize(("load", "fidelity"), [("weights", "weights"), ("all", "state")])
def test_it_plays_at_once_as_the_other_one_did_and_ends_alike_also_after_a_kill(
    service: LiveService, undisturbed: dict[str, Any], load: str, fidelity: str
) -> None:
    """Before its first checkpoint: it begins there again."""
    late = {"checkpointing": {"every_steps": 450, "keep": 2}}
    calm = _done(service, service.submit(_child(undisturbed, load, **late)))
    evaluations = _returns(service, calm["id"])
    assert evaluations[0] == (0, _returns(service, undisturbed["id"])[-1][1])
    assert calm["weights_sha256"] != undisturbed["weights_sha256"]
    metrics = service.get(f"/jobs/{calm['id']}/metrics?keys=loss/value")["series"][0]["points"]
    warmup = calm["spec"]["algorithm"]["hyperparameters"]["warmup_steps"]
    assert (metrics[0][0] < warmup) == (load == "all"), "with the replay it learns at once"

    job_id = service.submit(_child(undisturbed, load, **late))
    job = service.wait_for_step(job_id, 100)
    assert job["progress"]["step"] < 450, "too late: a kill now would prove nothing"
    service.kill("worker.trainer")
    job = _done(service, job_id)
    assert job["weights_sha256"] == calm["weights_sha256"]
    assert _returns(service, job_id) == evaluations
    attempts = service.get(f"/jobs/{job_id}/attempts")["data"]
    assert [a["status"] for a in attempts] == ["lost", "succeeded"]
    begun = {(a["start_step"], a["resumed_from"], a["fidelity"]) for a in attempts}
    assert begun == {(0, job["spec"]["init_from"]["checkpoint_id"], fidelity)}


def test_clones_and_groups_begin_with_the_same_checkpoint(
    service: LiveService, undisturbed: dict[str, Any]
) -> None:
    short = {"budget": {"total_steps": 220}}
    first = service.submit(_child(undisturbed, "weights", **short))
    clone = service.client.post(f"/jobs/{first}/clone", json={"seed": 9}).json()
    assert clone["spec"]["init_from"] == service.job(first)["spec"]["init_from"]
    body = _child(undisturbed, "weights", seeds=[1, 2], **short)
    del body["seed"]
    group = service.client.post("/jobs", json=body).json()
    jobs = [service.job(each["id"]) for each in group["jobs"]]
    assert [job["spec"]["init_from"] for job in jobs] == [clone["spec"]["init_from"]] * 2
    for job_id in (first, clone["id"], *(job["id"] for job in jobs)):
        assert _returns(service, _done(service, job_id)["id"])[0][0] == 0
