"""A host dies with all that is on it; another one, with nothing on it, finishes its job."""

import shutil
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.buckets import Bucket
from tests.e2e.service import live_service, tiny_job

MIDDLE = 350  # between two checkpoints


def test_a_job_moves_to_another_host_and_ends_with_the_same_weights(
    tmp_path: Path, bucket: Bucket, undisturbed: dict[str, Any]
) -> None:
    shared = {
        "MRQ_DATABASE_URL": f"sqlite:///{tmp_path / 'mrq.db'}",
        "MRQ_ARTIFACTS_URL": bucket.url,
    }
    with live_service(tmp_path / "first", environment=shared) as first:
        job_id = first.submit(tiny_job())
        job = first.wait_for_step(job_id, MIDDLE)
        assert job["status"] == "running", "too late: a kill now would prove nothing"
        assert job["progress"]["step"] < 650
        first.process.kill()
        first.process.wait()
    _remove(tmp_path / "first")
    with live_service(tmp_path / "second", environment=shared) as second:
        job = second.wait_for_end(job_id)
        assert job["status"] == "succeeded", job["status_message"]
        assert job["weights_sha256"] == undisturbed["weights_sha256"]
        assert job["best"]["return_mean"] == undisturbed["best"]["return_mean"]
        attempts = second.get(f"/jobs/{job_id}/attempts")["data"]
        assert [(a["status"], a["fidelity"]) for a in attempts] == [
            ("lost", "none"),
            ("succeeded", "exact"),
        ]
        assert attempts[1]["start_step"] >= 200
        require_download(second.client, job_id)
    assert not (tmp_path / "second" / "artifacts" / job_id).exists()


def require_download(client: httpx2.Client, job_id: str) -> None:
    """The server hands out of the bucket what its rows say."""
    checkpoints = client.get(f"/jobs/{job_id}/checkpoints").json()["data"]
    newest = next(each for each in checkpoints if each["kind"] == "training")
    assert newest["step"] == 700
    path = newest["links"]["files"]
    files = client.get(path).json()["data"]
    assert sum(each["size_bytes"] for each in files) == newest["size_bytes"]
    for each in files:
        assert len(client.get(f"{path}/{each['name']}").content) == each["size_bytes"]


def _remove(folder: Path) -> None:
    """What dies with its parent may write for a moment longer."""
    late = time.monotonic() + 20
    while folder.exists():
        assert time.monotonic() < late, f"{folder} is still being written to"
        shutil.rmtree(folder, ignore_errors=True)
