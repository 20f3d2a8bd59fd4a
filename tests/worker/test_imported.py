"""A run that moves: trained by one service, imported by another, and trained on there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from store.database import Database
from store.garbage import damaged_checkpoints, find_garbage
from store.invariants import broken_invariants
from store.schema import migrate
from store.settings import Settings
from tests.app.driving import BEARER, KEY
from tests.buckets import Bucket
from tests.e2e.service import tiny_job
from worker.supervisor import Supervisor

FIRST, LAST = 230, 360  # both in the middle of an episode


class Service:
    """A server and its one worker, which trains when it is told to."""

    def __init__(self, settings: Settings) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.database = Database(settings.database_url)
        migrate(self.database)
        self.client = TestClient(create_app(settings), headers=BEARER)

    def train(self) -> None:
        Supervisor(self.database, self.settings, "worker", lambda: False).run_next()

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def training_files(self, job_id: str) -> dict[str, bytes]:
        rows = self.get(f"/jobs/{job_id}/checkpoints")["data"]
        newest = max((r for r in rows if r["kind"] == "training"), key=lambda row: row["step"])
        path = newest["links"]["files"]
        names = [file["name"] for file in self.get(path)["data"]]
        return {name: self.client.get(f"{path}/{name}").content for name in names}

    def extend(self, job_id: str) -> dict[str, Any]:
        answer = self.client.post(f"/jobs/{job_id}/extend", json={"total_steps": LAST})
        assert answer.status_code == 202, answer.text
        self.train()
        return dict(self.get(f"/jobs/{job_id}"))


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(name: str, **changes: Any) -> Service:
        settings = Settings(data_dir=tmp_path / name, api_key=KEY, **changes)
        made.append(Service(settings))
        made[-1].client.__enter__()
        return made[-1]

    yield make
    for service in made:
        service.client.__exit__(None, None, None)
        service.database.dispose()


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_a_run_goes_on_elsewhere_bit_by_bit(
    make_service: Callable[..., Service], request: pytest.FixtureRequest, where: str
) -> None:
    bucket: Bucket | None = request.getfixturevalue("bucket") if where == "bucket" else None
    here = make_service("here")
    there = make_service("there", artifacts_url="" if bucket is None else bucket.url)
    spec = tiny_job(budget={"total_steps": FIRST})
    job_id = here.client.post("/jobs", json=spec).json()["id"]
    here.train()
    files = here.training_files(job_id)
    stayed = here.extend(job_id)

    resolved = here.get(f"/jobs/{job_id}")["spec"] | {"budget": {"total_steps": FIRST}}
    parts = [("spec", ("spec", _json(resolved))), *[(n, (n, c)) for n, c in files.items()]]
    answer = there.client.post("/checkpoints/import", files=parts)
    assert answer.status_code == 201, answer.text
    moved_id = answer.json()["id"]
    moved = there.extend(moved_id)

    assert (moved["status"], moved["status_reason"]) == ("succeeded", "budget_exhausted")
    assert moved["weights_sha256"] == stayed["weights_sha256"] is not None
    (attempt,) = there.get(f"/jobs/{moved_id}/attempts")["data"]
    assert (attempt["fidelity"], attempt["start_step"]) == ("exact", FIRST)
    assert (
        there.training_files(moved_id)["agent.safetensors"]
        == (here.training_files(job_id)["agent.safetensors"])
    )
    assert _evaluations(there, moved_id) == _evaluations(here, job_id)
    assert moved["policy"] is not None, "it has a policy from now on"
    assert broken_invariants(there.database, there.settings) == []
    assert list(damaged_checkpoints(there.database, there.settings)) == []
    assert find_garbage(there.database, there.settings) == []


def test_a_run_that_was_not_over_goes_on_to_its_end(make_service: Callable[..., Service]) -> None:
    """The spec is the whole run's, the checkpoint from the middle of it."""
    here, there = make_service("here"), make_service("there")
    job_id = here.client.post("/jobs", json=tiny_job(budget={"total_steps": LAST})).json()["id"]
    here.train()
    whole = here.get(f"/jobs/{job_id}")
    rows = here.get(f"/jobs/{job_id}/checkpoints")["data"]
    older = min((r for r in rows if r["kind"] == "training"), key=lambda row: row["step"])
    path = older["links"]["files"]
    names = [file["name"] for file in here.get(path)["data"]]
    parts: list[Any] = [("spec", ("spec", _json(whole["spec"])))]
    parts += [(name, (name, here.client.get(f"{path}/{name}").content)) for name in names]
    job = there.client.post("/checkpoints/import", files=parts).json()
    assert (job["progress"]["step"], job["progress"]["total_steps"]) == (older["step"], LAST)
    assert there.extend(job["id"])["weights_sha256"] == whole["weights_sha256"]
    assert broken_invariants(there.database, there.settings) == []


def test_a_new_job_begins_with_weights_that_were_imported_alone(
    make_service: Callable[..., Service],
) -> None:
    here, there = make_service("here"), make_service("there")
    spec = tiny_job(budget={"total_steps": FIRST})
    job_id = here.client.post("/jobs", json=spec).json()["id"]
    here.train()
    files = here.training_files(job_id)
    parts: list[Any] = [("spec", ("spec", _json(here.get(f"/jobs/{job_id}")["spec"])))]
    parts += [(name, (name, files[name])) for name in ("state.json", "agent.safetensors")]
    teacher = there.client.post("/checkpoints/import", files=parts).json()["id"]

    refused = there.client.post("/jobs", json=spec | {"init_from": _begins(teacher, "all")})
    assert (refused.status_code, refused.json()["param"]) == (422, "init_from.load")
    asked = spec | {"init_from": _begins(teacher, "weights"), "budget": {"total_steps": 200}}
    pupil = there.client.post("/jobs", json=asked).json()["id"]
    there.train()
    assert there.get(f"/jobs/{pupil}")["status"] == "succeeded"
    (attempt,) = there.get(f"/jobs/{pupil}/attempts")["data"]
    assert (attempt["fidelity"], attempt["start_step"]) == ("weights", 0)
    taught = here.get(f"/jobs/{job_id}/evaluations")["data"][-1]["returns"]
    assert there.get(f"/jobs/{pupil}/evaluations")["data"][0]["returns"] == taught

    # One that began with another's weights moves with its spec as it was resolved, no less.
    its_spec = there.get(f"/jobs/{pupil}")["spec"]
    moved = [(name, (name, content)) for name, content in there.training_files(pupil).items()]
    unresolved = its_spec | {"init_from": _begins(teacher, "weights")}
    refused = here.client.post("/checkpoints/import", files=[_part(unresolved), *moved])
    assert (refused.status_code, refused.json()["param"]) == (422, "spec")
    arrived = here.client.post("/checkpoints/import", files=[_part(its_spec), *moved])
    assert arrived.status_code == 201, arrived.text
    stayed = there.extend(pupil)["weights_sha256"]
    assert here.extend(arrived.json()["id"])["weights_sha256"] == stayed is not None
    for service in (here, there):
        assert broken_invariants(service.database, service.settings) == []


def _begins(job_id: str, load: str) -> dict[str, str]:
    return {"job_id": job_id, "load": load}


def _part(spec: Any) -> tuple[str, tuple[str, bytes]]:
    return ("spec", ("spec", _json(spec)))


def _json(spec: Any) -> bytes:
    return orjson.dumps(spec)


def _evaluations(service: Service, job_id: str) -> list[Any]:
    data = service.get(f"/jobs/{job_id}/evaluations")["data"]
    return [(e["step"], e["returns"]) for e in data if e["step"] > FIRST]
