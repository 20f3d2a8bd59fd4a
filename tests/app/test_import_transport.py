"""How an imported checkpoint comes in: what is no form, too much, cut off, or meets a failure."""

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from app.routes import imports
from store import artifacts as artifacts_module
from store import importing
from store.database import Database
from store.garbage import find_garbage, remove_garbage
from store.settings import Settings
from tests.app.driving import BEARER, KEY, row_counts
from tests.app.importing import PATH, SPEC, Files, assert_nothing_remains, parts_of, post

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FORM = "multipart/form-data; boundary=XX"


def form(*parts: tuple[str, bytes], end: bytes = b"--XX--\r\n") -> bytes:
    head = b'--XX\r\nContent-Disposition: form-data; name="%s"; filename="x"\r\n\r\n'
    return b"".join(head % name.encode() + content + b"\r\n" for name, content in parts) + end


def send(client: TestClient, content: bytes, content_type: str = FORM, **headers: str) -> Any:
    return client.post(PATH, content=content, headers={"Content-Type": content_type, **headers})


@pytest.mark.parametrize(
    "name",
    [
        "../state.json",
        "..",
        ".",
        "/etc/passwd",
        "a/../state.json",
        "..\\state.json",
        "state.json\x00",
        "state.json/",
        "./state.json",
        "STATE.JSON",
        "",
        "~root",
        "job_01/0-1/state.json",
        ".tmp-0-x",
        "replay-01.safetensors",
        "replay--1.safetensors",
        "replay-\N{ARABIC-INDIC DIGIT ONE}.safetensors",
        "replay-1.safetensors\n",
        "replay-9999999999999999999.safetensors",
        "weights.pt",
        "policy.pkl",
        "agent.npy",
        "agent.safetensors.zip",
        "policy.onnx",
        "x" * 3_000,
    ],
)
def test_only_names_of_the_layout_become_files(
    client: TestClient, database: Database, settings: Settings, files: Files, name: str
) -> None:
    answer = send(client, form(("state.json", files["state.json"]), (name, b"content")))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_checkpoint")
    assert "only safetensors and JSON are taken, never pickles or archives" in problem["detail"]
    assert "allowed: spec, state.json, agent.safetensors" in problem["detail"]
    assert_nothing_remains(database, settings)
    assert not list(settings.data_dir.rglob("*passwd*"))


def test_a_name_that_is_not_utf8(
    client: TestClient, database: Database, settings: Settings
) -> None:
    head = b'--XX\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\nx\r\n--XX--\r\n'
    assert send(client, head).status_code == 422
    assert_nothing_remains(database, settings)


@pytest.mark.parametrize("name", ["spec", "state.json", "agent.safetensors"])
def test_a_part_that_comes_twice(
    client: TestClient, database: Database, settings: Settings, files: Files, name: str
) -> None:
    parts = parts_of(files)
    again = next(part for part in parts if part[0] == name)
    answer = client.post(PATH, files=[*parts, again])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_checkpoint")
    assert answer.json()["param"] == name
    assert "came twice" in answer.json()["detail"]
    assert_nothing_remains(database, settings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ends before its last boundary"),
        (form(("state.json", b"{}"), end=b""), "ends before its last boundary"),
        (form(("state.json", b"{}"), end=b"--XX"), "ends before its last boundary"),
        (b"--YY\r\n", "is not multipart/form-data"),
        (b"no form at all", "is not multipart/form-data"),
        (b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--\r\n", "with a name"),
        (b"--XX\r\nX-Other: 1\r\n\r\nx\r\n--XX--\r\n", "with a name"),
        (b"--XX\r\nX-Long: " + b"y" * 10_000 + b"\r\n\r\nx\r\n--XX--\r\n", "multipart/form-data"),
        (b"--XX\r\n" + b"X-Y: 1\r\n" * 1_000 + b"\r\nx\r\n--XX--\r\n", "multipart/form-data"),
    ],
)
def test_what_is_no_form(
    client: TestClient, database: Database, settings: Settings, content: bytes, said: str
) -> None:
    answer = send(client, content)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert said in answer.json()["detail"]
    assert_nothing_remains(database, settings)


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json", "identity"),
        ("multipart/mixed; boundary=XX", "identity"),
        ("multipart/form-data", "identity"),
        ("multipart/form-data; boundary=" + "x" * 71, "identity"),
        ("", "identity"),
        (FORM, "gzip"),
    ],
)
def test_another_media_type(
    client: TestClient,
    database: Database,
    settings: Settings,
    content_type: str,
    encoding: str,
) -> None:
    answer = send(client, form(), content_type, **{"Content-Encoding": encoding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert_nothing_remains(database, settings)


@pytest.mark.parametrize("name", ["spec", "state.json"])
def test_small_parts_are_small(
    client: TestClient, database: Database, settings: Settings, name: str
) -> None:
    answer = send(client, form((name, b" " * (imports.SMALL_BYTES + 1))))
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert answer.json()["param"] == name
    assert_nothing_remains(database, settings)


def test_the_body_has_a_limit_of_its_own(
    make_client: Callable[[], TestClient], database: Database, settings: Settings, files: Files
) -> None:
    settings.max_body_bytes, settings.max_import_bytes = 1_000, 50_000
    client = make_client()
    answer = post(client, {**files, "agent.safetensors": b"x" * 60_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert "MRQ_MAX_IMPORT_BYTES" in answer.json()["detail"]

    def in_chunks() -> Iterator[bytes]:  # which say no length
        yield form(("agent.safetensors", b"x" * 20_000), end=b"")
        for _ in range(10):
            yield b"x" * 20_000

    answer = client.post(PATH, content=in_chunks(), headers={"Content-Type": FORM})
    assert answer.status_code == 413
    assert_nothing_remains(database, settings)
    settings.max_import_bytes = 10_000_000
    client = make_client()
    assert post(client, files).status_code == 201
    assert client.post("/jobs", content=b" " * 2_000, headers={}).status_code in (413, 415)
    assert client.post("/v1/jobs", json={"name": "x" * 2_000}).status_code == 413


def test_without_the_key_nothing_is_taken(
    stranger: TestClient, database: Database, settings: Settings, files: Files
) -> None:
    assert post(stranger, files).status_code == 401
    assert_nothing_remains(database, settings)


def test_a_disk_without_space_is_told(
    make_client: Callable[[], TestClient], database: Database, settings: Settings, files: Files
) -> None:
    settings.disk_reserve_bytes = 10**18
    answer = post(make_client(), files)
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert_nothing_remains(database, settings)


def test_a_folder_that_the_server_may_not_write_is_told(
    client: TestClient,
    database: Database,
    settings: Settings,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the kernel's answer: tests may run as root, who may write anywhere."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refuse)
        answer = post(client, files)
    assert (answer.status_code, answer.json()["code"]) == (503, "setup_error")
    assert "MRQ_ARTIFACT_DIR" in answer.json()["detail"]
    assert_nothing_remains(database, settings)


def test_a_client_that_goes_away_leaves_nothing(
    serve: Callable[[], str], database: Database, settings: Settings, files: Files
) -> None:
    with _uploading(serve(), settings):
        pass  # and away
    _wait_for(lambda: not any(settings.artifact_dir.rglob("*")))
    assert_nothing_remains(database, settings)


@contextmanager
def _uploading(url: str, settings: Settings) -> Iterator[socket.socket]:
    """In the middle of a large file while it lasts; the connection is closed then."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: 90000000\r\n\r\n"
    )
    port = int(url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head.encode())
        connection.sendall(form(("agent.safetensors", b"x" * 3_000_000), end=b""))
        _wait_for(lambda: any(settings.artifact_dir.rglob("agent.safetensors")))
        yield connection


def _wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_an_upload_under_way_is_no_garbage(
    serve: Callable[[], str], database: Database, settings: Settings
) -> None:
    """Its folder is as new as the last byte."""
    with _uploading(serve(), settings) as connection:
        (folder,) = settings.artifact_dir.glob("*/*")
        os.utime(folder, (1, 1))
        assert [each.folder for each in find_garbage(database, settings)] == [
            f"{folder.parent.name}/{folder.name}"
        ], "as the folder of a server that was killed"
        connection.sendall(b"x" * 3_000_000)
        _wait_for(lambda: folder.stat().st_mtime > 1)
        assert find_garbage(database, settings) == []


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_what_is_stored_and_gets_no_row_is_garbage(
    make_client: Callable[[], TestClient],
    database: Database,
    settings: Settings,
    files: Files,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    if where == "bucket":
        settings.artifacts_url = request.getfixturevalue("bucket").url

    def fail(*_: Any) -> Any:
        raise OperationalError("INSERT", {}, Exception("the database is gone"))

    monkeypatch.setattr(importing, "_insert", fail)
    answer = post(make_client(), files)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert set(row_counts(database).values()) == {0}
    settings.lease_seconds = 0.001
    time.sleep(1.1)  # an object's time is in whole seconds
    garbage = find_garbage(database, settings)
    assert len(garbage) == (1 if where == "folder" else len(files))
    remove_garbage(settings, garbage)
    assert find_garbage(database, settings) == []
    assert [p for p in settings.data_dir.rglob("*.safetensors") if p.is_file()] == []


@pytest.mark.parametrize("at", ["sync", "_hash_and_sync"])
def test_a_failure_while_it_is_stored_leaves_nothing(
    client: TestClient,
    database: Database,
    settings: Settings,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError(5, "a bad disk")

    monkeypatch.setattr(artifacts_module, at, fail)
    assert post(client, files).status_code == 500
    assert_nothing_remains(database, settings)


def test_many_requests_with_one_key_make_one_job(
    serve: Callable[[], str], database: Database, settings: Settings, files: Files
) -> None:
    url, clients = serve(), 6
    together = threading.Barrier(clients)

    def run(_: int) -> httpx2.Response:
        with httpx2.Client(base_url=url, headers=BEARER, timeout=60.0) as client:
            together.wait()
            return client.post(PATH, files=parts_of(files), headers={"Idempotency-Key": "once"})

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(run, range(clients)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert row_counts(database)["jobs"] == 1
    folders = [path.parent.name for path in settings.artifact_dir.glob("*/*")]
    assert folders == [answers[0].json()["id"]]


def test_large_files_pass_in_parts_and_others_are_served_meanwhile(
    serve: Callable[[], str], database: Database, settings: Settings
) -> None:
    url = serve()
    size, answers, done = 96 << 20, 0, threading.Event()

    def body() -> Iterator[bytes]:
        yield form(("agent.safetensors", b""), end=b"")[:-2]
        for _ in range(size >> 20):
            yield bytes(1 << 20)
        yield b"\r\n--XX--\r\n"

    def upload() -> int:
        headers = {**BEARER, "Content-Type": FORM}
        try:
            return httpx2.post(
                f"{url}{PATH}", content=body(), headers=headers, timeout=60
            ).status_code
        finally:
            done.set()

    tracemalloc.start()
    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(upload)
        while not done.is_set():
            assert httpx2.get(f"{url}/healthz", timeout=10).status_code == 200
            answers += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert uploading.result() == 422, "no spec"
    assert peak < 24 << 20
    assert answers >= 4, "one or two, were it busy with the upload alone"
    assert_nothing_remains(database, settings)


def test_the_command_sends_a_folder(
    serve: Callable[[], str], files: Files, tmp_path: Path, settings: Settings
) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "spec.json").write_text(json.dumps(SPEC))
    url = serve()

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli.main", "import", str(folder)]
        command += ["--spec", str(tmp_path / "checkpoint" / "spec.json"), "--url", url]
        environment = {**os.environ, "MRQ_API_KEY": KEY, "MRQ_DATA_DIR": str(settings.data_dir)}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    done = run(folder)
    assert done.returncode == 0, done.stderr
    job = httpx2.get(f"{url}/jobs/{done.stdout.strip()}", headers=BEARER).json()
    assert job["status_reason"] == "imported"
    (folder / "weights.pt").write_bytes(b"x")
    refused = run(folder)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "'weights.pt' is no file of a checkpoint" in refused.stderr
    assert "is no folder" in run(tmp_path / "elsewhere").stderr
