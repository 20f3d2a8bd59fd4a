"""Checkpoints are handed out whole and in parts, and nothing else is."""

import base64
import hashlib
import http.client
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from store.artifacts import ArtifactFolder, StoredFolder
from store.checkpoint_files import CheckpointFiles
from store.database import Database
from store.object_store import ObjectStore
from store.ownership import Claim
from store.policies import list_checkpoints
from store.results import record_training_checkpoint
from store.settings import Settings
from store.storage import open_artifacts
from tests.app.driving import BEARER, claim, submit, trained_job
from tests.buckets import Bucket

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Stored:
    job_id: str
    path: str  # of its files
    folder: Path
    files: CheckpointFiles


def store_checkpoint(
    database: Database, settings: Settings, content: bytes = CONTENT, **changes: Any
) -> Stored:
    """As a worker does: written, published, committed."""
    job_id = submit(database)
    taken = claim(database, settings)
    artifacts = open_artifacts(settings)

    def save(folder: Path) -> None:
        (folder / "agent.safetensors").write_bytes(content)
        (folder / "state.json").write_text("{}")

    written = ArtifactFolder(artifacts.root).write(job_id, taken.epoch, 100, save)
    published = replace(artifacts.publish(written, taken.epoch, None), **changes)
    return commit(database, taken, published, artifacts.root)


def commit(database: Database, taken: Claim, published: StoredFolder, root: Path) -> Stored:
    record_training_checkpoint(database, taken, 100, published, keep=2)
    with database.read() as session:
        (checkpoint,) = list_checkpoints(session, taken.job_number)
    path = f"/jobs/{taken.job_id}/checkpoints/{checkpoint.id}/files"
    files = CheckpointFiles.stored(published)
    return Stored(taken.job_id, path, root / published.folder, files)


@pytest.fixture(params=["folder", "bucket"])
def stored(request: pytest.FixtureRequest, database: Database, settings: Settings) -> Stored:
    if request.param == "bucket":
        settings.artifacts_url = request.getfixturevalue("bucket").url
    stored = store_checkpoint(database, settings)
    if request.param == "bucket":
        shutil.rmtree(settings.cache_dir)  # that was another host's
    return stored


@pytest.fixture
def served(stored: Stored, settings: Settings) -> Any:
    with TestClient(create_app(settings), headers=BEARER, raise_server_exceptions=False) as client:
        yield client


def test_files_are_listed_with_size_and_hash(served: TestClient, stored: Stored) -> None:
    (listed,) = served.get(f"/jobs/{stored.job_id}/checkpoints").json()["data"]
    assert listed["links"]["files"] == stored.path
    agent, state = served.get(stored.path).json()["data"]
    assert agent == {"name": "agent.safetensors", "size_bytes": len(CONTENT), "sha256": SHA256}
    assert (state["name"], state["size_bytes"]) == ("state.json", 2)


def test_a_file_comes_whole_with_its_digest(served: TestClient, stored: Stored) -> None:
    answer = served.get(f"{stored.path}/agent.safetensors")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    digest = base64.b64encode(bytes.fromhex(SHA256)).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["etag"] == f'"{SHA256}"'
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="agent.safetensors"'
    assert answer.headers["cache-control"] == "private, no-cache"


SIZE = len(CONTENT)
ETAG = f'"{SHA256}"'


PARTS = [
    ({"Range": "bytes=0-0"}, 206, 0, 1),
    ({"Range": "bytes=100-199"}, 206, 100, 200),
    ({"Range": f"bytes={SIZE - 1}-"}, 206, SIZE - 1, SIZE),
    ({"Range": "bytes=100-"}, 206, 100, SIZE),
    ({"Range": f"bytes=100-{10**17}"}, 206, 100, SIZE),
    ({"Range": "bytes=-7"}, 206, SIZE - 7, SIZE),
    ({"Range": f"bytes=-{10 * SIZE}"}, 206, 0, SIZE),
    ({"Range": "bytes=100-199", "If-Range": ETAG}, 206, 100, 200),
    # Several ranges, other units, and what is no range: all of it, as RFC 9110 allows.
    ({"Range": "bytes=100-199", "If-Range": '"other"'}, 200, 0, SIZE),
    ({"Range": "bytes=0-1,5-6"}, 200, 0, SIZE),
    ({"Range": "bytes=9-1"}, 200, 0, SIZE),
    ({"Range": "bytes=-"}, 200, 0, SIZE),
    ({"Range": "rows=0-1"}, 200, 0, SIZE),
    ({"Range": "bytes=" + "9" * 5_000 + "-"}, 200, 0, SIZE),
    ({"If-None-Match": '"other"'}, 200, 0, SIZE),
]


def test_a_part_of_it(served: TestClient, stored: Stored) -> None:
    for headers, status, start, stop in PARTS:
        answer = served.get(f"{stored.path}/agent.safetensors", headers=headers)
        assert (answer.status_code, answer.content) == (status, CONTENT[start:stop]), headers
        assert answer.headers["content-length"] == str(stop - start)
        told = answer.headers.get("content-range")
        assert told == (f"bytes {start}-{stop - 1}/{SIZE}" if status == 206 else None)
        assert answer.headers["etag"] == ETAG


def test_a_part_that_is_not_there(served: TestClient, stored: Stored) -> None:
    for wanted in (f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"):
        answer = served.get(f"{stored.path}/agent.safetensors", headers={"Range": wanted})
        assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
        assert answer.headers["content-range"] == f"bytes */{SIZE}"


def test_who_has_it_already_gets_nothing(served: TestClient, stored: Stored) -> None:
    for tags in (ETAG, f'"x", W/{ETAG}', "*"):
        answer = served.get(f"{stored.path}/agent.safetensors", headers={"If-None-Match": tags})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == ETAG


TRAVERSAL = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/secret",
    "%252e%252e%252fsecret",
    "..\\..\\secret",
    "..%5c..%5csecret",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "agent.safetensors%00.json",
    "agent.safetensors/",
    "./agent.safetensors",
    ".",
    "..",
    "~root",
    "file:%2f%2f%2fetc%2fpasswd",
    "AGENT.SAFETENSORS",
    "x" * 250,
    "x" * 5_000,
    "",
    "%ff%fe",
]


@pytest.mark.parametrize("stored", ["folder"], indirect=True)
def test_no_name_of_a_client_leads_anywhere(stored: Stored, serve: Callable[[], str]) -> None:
    """Sent as it stands: most clients would take the sting out of a path."""
    for parent in stored.folder.parents[:3]:
        (parent / "secret").write_text("a secret")
    server = httpx2.URL(serve())
    for name in TRAVERSAL:
        connection = http.client.HTTPConnection(server.host, server.port)
        connection.request("GET", f"{stored.path}/{name}", headers=BEARER)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status in (404, 422), name
        assert b"a secret" not in body, name
        assert b"root:" not in body, name


@pytest.mark.parametrize("stored", ["folder"], indirect=True)
def test_a_name_that_a_trainer_has_smuggled_in_leads_nowhere(
    database: Database, settings: Settings, stored: Stored
) -> None:
    """It runs the code of environments, and says what its files are called."""
    (stored.folder.parent / "secret").write_bytes(CONTENT)
    evil = {"../secret": SHA256, "link": SHA256}
    other = store_checkpoint(database, settings, files=evil, sizes={})
    (other.folder / "link").symlink_to(stored.folder.parent / "secret")
    with TestClient(create_app(settings), headers=BEARER, raise_server_exceptions=False) as client:
        for name in ("..%2fsecret", "link"):
            answer = client.get(f"{other.path}/{name}")
            assert answer.status_code in (404, 410), name
            assert CONTENT not in answer.content


def test_files_that_are_not_there_are_told_apart(
    served: TestClient, stored: Stored, database: Database, settings: Settings
) -> None:
    answer = served.get(f"{stored.path}/other.safetensors")
    assert (answer.status_code, answer.json()["code"]) == (404, "file_not_found")
    assert answer.json()["param"] == "name"
    another = trained_job(database, settings)
    moved = stored.path.replace(stored.job_id, another)
    answer = served.get(f"{moved}/agent.safetensors")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")
    answer = served.get(f"/jobs/{another}/checkpoints/ckpt_%00/files")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")


def test_what_was_deleted_meanwhile_is_gone(
    served: TestClient, stored: Stored, settings: Settings
) -> None:
    open_artifacts(settings).remove(stored.files.names)
    answer = served.get(f"{stored.path}/agent.safetensors")
    assert (answer.status_code, answer.json()["code"]) == (410, "file_gone")
    assert served.get(stored.path).status_code == 200, "the row still says what it was"


@pytest.mark.parametrize("stored", ["bucket"], indirect=True)
def test_a_store_that_is_away_is_not_an_empty_one(
    served: TestClient, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = served.get(f"{stored.path}/agent.safetensors")
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unreachable")
    assert answer.headers["retry-after"]
    assert b"127.0.0.1" not in answer.content


@pytest.mark.parametrize("stored", ["folder"], indirect=True)
def test_a_damaged_file_never_comes_whole(
    stored: Stored, serve: Callable[[], str], settings: Settings
) -> None:
    (stored.folder / "agent.safetensors").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"{serve()}{stored.path}/agent.safetensors", headers=BEARER)


@pytest.mark.parametrize("stored", ["folder"], indirect=True)
def test_large_files_pass_in_parts(
    database: Database, settings: Settings, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 48 << 20
    files, artifacts = stored.files, open_artifacts(settings)
    with (stored.folder / "agent.safetensors").open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    total = sum(len(part) for part in artifacts.read(files, "agent.safetensors", 0, size))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == size
    assert peak < 8 << 20


def test_the_parts_of_an_object_are_asked_for_one_by_one(
    database: Database,
    settings: Settings,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.artifacts_url = bucket.url
    content = os.urandom(9 << 20)
    stored = store_checkpoint(database, settings, content)
    asked: list[int] = []
    read = ObjectStore.read

    def watched(self: ObjectStore, name: str, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return read(self, name, start, stop)

    monkeypatch.setattr(ObjectStore, "read", watched)
    parts = open_artifacts(settings).read(stored.files, "agent.safetensors", 1, len(content))
    assert b"".join(parts) == content[1:]
    assert asked == [4 << 20, 4 << 20, (1 << 20) - 1]


def test_a_policy_has_its_graph_and_how_to_use_it(
    client: TestClient, database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings)
    (checkpoint,) = client.get(f"/jobs/{job_id}/checkpoints").json()["data"]
    path = checkpoint["links"]["files"]
    graph, manifest = client.get(path).json()["data"]
    assert graph["name"] == "policy.onnx"
    assert (graph["sha256"], graph["size_bytes"]) == (
        checkpoint["sha256"],
        checkpoint["size_bytes"],
    )
    for listed in (graph, manifest):
        content = client.get(f"{path}/{listed['name']}").content
        assert hashlib.sha256(content).hexdigest() == listed["sha256"]
    part = client.get(f"{path}/policy.onnx", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (
        206,
        client.get(f"{path}/policy.onnx").content[2:6],
    )
    assert client.get(f"{path}/policy.json").json()["observation_space"]["type"] == "box"
    assert client.get(f"{path}/agent.safetensors").status_code == 404


def test_without_the_key_nothing_is_handed_out(
    stranger: TestClient, client: TestClient, database: Database, settings: Settings
) -> None:
    stored = store_checkpoint(database, settings)
    for path in (stored.path, f"{stored.path}/state.json"):
        assert stranger.get(path).status_code == 401
        assert client.get(path).status_code == 200
