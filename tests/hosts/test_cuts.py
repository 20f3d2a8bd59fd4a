"""Links are cut and healed, and hosts lose their power: no job is lost, and none ends otherwise.

The seconds in these tests are how a connection that hangs for minutes turns red.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.hosts.cluster import Cluster
from tests.hosts.runs import (
    HANGS_SECONDS,
    STEPS,
    Undisturbed,
    cancel,
    cut,
    lease_of,
    require_moved,
    runs_on,
    spec,
    upload_that_is_being_sent,
    wait_for_middle,
    wait_until,
    warnings_of,
    written_by,
)

OBSERVATION = {"observation": [1.0, 0.0, 0.0]}
ENDLESS = {"budget": {"total_steps": 100_000}}


@pytest.fixture(scope="module")
def beside(hosts: Cluster) -> Undisturbed:
    """Under way, for a test that cuts nothing off but a worker that has another job."""
    return Undisturbed(hosts)


@pytest.fixture
def undisturbed(beside: Undisturbed) -> Undisturbed:
    """It has ended, so that nothing can disturb it."""
    assert beside.job["finished_at"] is not None
    return beside


def test_a_worker_cut_off_for_longer_than_its_lease_writes_nothing_more(
    hosts: Cluster, beside: Undisturbed
) -> None:
    job_id = hosts.submit(spec("cut-off"))
    wait_for_middle(hosts, job_id)
    host = runs_on(hosts, job_id)
    with cut(host):
        wait_until(lambda: not host.pids("worker.trainer"))
        epoch, left_ms = lease_of(hosts, job_id)
        assert epoch == 1, "it trained on while another one had the job"
        assert left_ms > 0, "it trained on when its lease had ended"
        hosts.wait(job_id, lambda job: job["attempt"] == 2)
        written = written_by(hosts, job_id, attempt=1)
    # From here on its writes would arrive, and would find a job that runs.
    assert hosts.job(job_id)["status"] == "running"
    # Two that do not end by themselves, so that one worker cannot have had both.
    others = [hosts.submit(spec(name) | ENDLESS) for name in ("next", "after-next")]
    for other in others:
        hosts.wait(other, lambda job: job["status"] == "running", HANGS_SECONDS)
    assert host in [runs_on(hosts, other) for other in others], "it takes jobs again"
    for other in others:
        cancel(hosts, other)
    require_moved(hosts, job_id, beside)
    afterwards = written_by(hosts, job_id, attempt=1)
    for table in ("events", "metrics", "attempts"):
        assert afterwards[table] == written[table] != [], table
    for table in ("checkpoints", "evaluations"):  # the next attempt clears up among these
        assert {row[0] for row in afterwards[table]} <= {row[0] for row in written[table]}, table


def test_a_broker_that_is_cut_off_and_a_worker_whose_host_loses_its_power(
    hosts: Cluster, undisturbed: Undisturbed
) -> None:
    job_id = hosts.submit(spec("power"))
    wait_for_middle(hosts, job_id)
    host, broker = runs_on(hosts, job_id), hosts.host("broker")
    with cut(broker):
        begun = time.monotonic()
        waiting = hosts.submit(spec("no-bell"))
        assert time.monotonic() - begun < 2, "to submit needs no broker"
        with cut(host):  # so that no last word of its kernel gets out
            host.kill()
        hosts.wait(job_id, lambda job: job["status"] == "queued", HANGS_SECONDS)
        assert hosts.job(job_id)["status_reason"] == "worker_lost"
        if hosts.job(waiting)["status"] != "queued":
            # By a bell that a worker has held since before: its child was still loading.
            waiting = hosts.submit(spec("no-bell-either"))
        assert hosts.job(waiting)["status"] == "queued"
        with broker.namespace.entered():  # and nothing is left of what was in it
            hosts.broker.stop(signal.SIGKILL)
            hosts.broker.start()
    hosts.wait(job_id, lambda job: job["attempt"] == 2, HANGS_SECONDS)
    hosts.start_worker(host.name)
    hosts.wait(waiting, lambda job: job["status"] == "running", HANGS_SECONDS)
    cancel(hosts, waiting)
    require_moved(hosts, job_id, undisturbed)


def test_a_database_that_is_cut_off_for_longer_than_the_lease(
    hosts: Cluster, undisturbed: Undisturbed
) -> None:
    act = f"/policies/{undisturbed.job['policy']['name']}/act"
    assert hosts.client.post(act, json=OBSERVATION).status_code == 200
    job_id = hosts.submit(spec("no-database"))
    wait_for_middle(hosts, job_id)
    host = runs_on(hosts, job_id)
    with cut(hosts.host("database")), ThreadPoolExecutor() as clients:
        lost = clients.submit(hosts.client.post, "/jobs", json=spec("lost"))
        asked = [clients.submit(hosts.client.get, path) for path in ("/jobs", "/readyz")]
        until = time.monotonic() + hosts.settings.lease_seconds
        while time.monotonic() < until or not all(each.done() for each in asked):
            assert hosts.client.post(act, json=OBSERVATION, timeout=2.0).status_code == 200
            assert time.monotonic() < until + HANGS_SECONDS, "a client waits for its answer"
            time.sleep(0.1)
        for answer in (each.result() for each in (lost, *asked)):
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] == "database_unavailable"
            assert int(answer.headers["Retry-After"]) > 0
        assert host.pids("worker.trainer") == [], "its lease has ended"
    wait_until(lambda: hosts.client.get("/readyz").status_code == 200, HANGS_SECONDS)
    assert hosts.get("/jobs?q=lost")["data"] == [], "nothing was changed"
    job = hosts.wait_for_end(job_id)
    assert job["attempt"] == 2
    undisturbed.require_same(job)


def test_a_bucket_that_is_cut_off(hosts: Cluster, undisturbed: Undisturbed) -> None:
    with ExitStack() as until_healed:
        # First, for it takes longer to begin than the job takes to end.
        upload = until_healed.enter_context(upload_that_is_being_sent(hosts))
        job_id = hosts.submit(spec("no-bucket"))
        wait_for_middle(hosts, job_id)
        host = runs_on(hosts, job_id)
        until_healed.enter_context(cut(hosts.host("storage")))
        begun = time.monotonic()
        wait_until(lambda: warnings_of(hosts, job_id) != [], HANGS_SECONDS)
        (warning,) = warnings_of(hosts, job_id)
        assert warning.startswith("The object store does not take the checkpoint of step")
        seconds = HANGS_SECONDS - (time.monotonic() - begun)
        assert upload.wait(seconds) == 0, "it hangs, and nobody is told"
        # Training goes on to its end; what it lacks is a checkpoint that others can begin with.
        assert hosts.wait_for_step(job_id, STEPS)["status"] == "running"
        with cut(host):
            host.kill()
        job = hosts.wait(job_id, lambda job: job["status_reason"] == "storage_unreachable")
        assert job["status"] == "queued"
        assert job["status_message"].startswith("The object store does not answer: ")
    require_moved(hosts, job_id, undisturbed)
