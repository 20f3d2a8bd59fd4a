"""Uploads over HTTP: what is taken, what is refused, and that a refusal leaves nothing."""

import gzip
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.driving import KEY, row_counts, spec
from tests.prices import closes, csv_of, rows

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CSV = {"Content-Type": "text/csv"}
UPLOAD = "/datasets?name=walk&role=timeseries"
GOOD = csv_of(rows(), further={"mood": np.random.default_rng(0).normal(size=300)})


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(max_dataset_bytes=60_000, max_dataset_rows=500, max_dataset_columns=20)


@pytest.fixture
def uploaded(client: TestClient) -> dict[str, Any]:
    answer = client.post(UPLOAD, content=GOOD, headers=CSV)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def files_in(settings: Settings) -> list[str]:
    folders = (settings.artifact_dir, settings.data_dir / "uploads")
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def trading(reference: str, **changes: Any) -> dict[str, Any]:
    environment = {"id": "mrq/Trading-v0", "dataset_id": reference, **changes}
    return spec(environment=environment)


# ---- what is taken


def test_what_is_taken_is_kept_as_it_came(
    uploaded: dict[str, Any], client: TestClient, settings: Settings
) -> None:
    assert uploaded["sha256"] == hashlib.sha256(GOOD).hexdigest()
    assert (uploaded["name"], uploaded["version"], uploaded["rows"]) == ("walk", 1, 300)
    assert uploaded["columns"]["roles"]["close"] == "Close"
    assert uploaded["columns"]["features"] == ["mood"]
    (name,) = files_in(settings)
    assert name == f"{uploaded['sha256']}-{uploaded['id']}"
    assert (settings.artifact_dir / "datasets" / name).read_bytes() == GOOD
    for reference in (uploaded["id"], "walk", "walk:1"):
        assert client.get(f"/datasets/{reference}").json() == uploaded
    listed = client.get("/datasets").json()["data"]
    assert [each["id"] for each in listed] == [uploaded["id"]]


def test_a_preview_shows_the_first_rows_as_they_stand(
    uploaded: dict[str, Any], client: TestClient
) -> None:
    shown = client.get(f"{uploaded['links']['preview']}?limit=2").json()
    lines = GOOD.decode().splitlines()
    assert shown == {
        "columns": lines[0].split(","),
        "rows": [lines[1].split(","), lines[2].split(",")],
    }
    assert len(client.get("/datasets/walk/preview").json()["rows"]) == 20
    assert client.get("/datasets/walk/preview?limit=101").status_code == 422


def test_the_validation_has_statistics_gaps_and_suspects(
    uploaded: dict[str, Any], client: TestClient
) -> None:
    report = client.get(uploaded["links"]["validation"]).json()
    close = next(each for each in report["columns"] if each["role"] == "close")
    values = closes(rows())
    assert close["mean"] == pytest.approx(values.mean())
    assert (close["minimum"], close["maximum"]) == (values.min(), values.max())
    assert sum(close["histogram"]["counts"]) == 300
    assert report["time"]["first"] == "2020-01-01T00:00:00Z"
    assert report["time"]["usual_step_seconds"] == 86_400
    assert report["time"]["gap_count"] == 0
    assert [each["column"] for each in report["lookahead"]] == ["mood"]
    assert report["warnings"] == uploaded["warnings"] == []


def test_what_is_odd_is_told_and_taken(client: TestClient) -> None:
    table = rows(200)
    del table[100:120]
    table[50][2] = "1"  # high, below all others
    content = csv_of(table, further={"flat": np.ones(180)})
    answer = client.post(UPLOAD, content=content, headers=CSV).json()
    assert answer["warnings"] == [
        "column flat is constant: it tells nothing.",
        "in 1 rows open or close lies outside of low to high, first in row 51 after the header.",
    ]
    report = client.get("/datasets/walk/validation").json()
    assert report["time"]["gaps"] == [{"after": "2020-04-09T00:00:00Z", "seconds": 21 * 86_400}]


def test_versions_count_up_and_the_same_again_is_the_same(
    uploaded: dict[str, Any], client: TestClient
) -> None:
    again = client.post(UPLOAD, content=GOOD, headers=CSV)
    assert (again.status_code, again.json()["id"]) == (200, uploaded["id"])
    without = client.post(f"{UPLOAD}&drop=mood", content=GOOD, headers=CSV)
    assert (without.status_code, without.json()["version"]) == (201, 2)
    assert without.json()["columns"]["features"] == []
    assert client.get("/datasets/walk").json()["version"] == 2
    assert client.delete("/datasets/walk:2").status_code == 204
    third = client.post(UPLOAD, content=csv_of(rows(seed=1)), headers=CSV)
    assert third.json()["version"] == 3, "a number never comes back"
    page = client.get("/datasets?name=walk&limit=1").json()
    assert [each["version"] for each in page["data"]] == [3]
    rest = client.get(f"/datasets?name=walk&after={page['next_cursor']}").json()
    assert [each["version"] for each in rest["data"]] == [1]


def test_columns_may_be_called_otherwise(client: TestClient) -> None:
    header = ("when", "Open", "High", "Low", "Last", "Volume")
    content = csv_of(rows(), header)
    assert client.post(UPLOAD, content=content, headers=CSV).status_code == 422
    mapped = f"{UPLOAD}&map=timestamp:when&map=close:Last"
    answer = client.post(mapped, content=content, headers=CSV)
    assert answer.status_code == 201, answer.text
    assert answer.json()["columns"]["roles"]["timestamp"] == "when"


# ---- what is refused


def cell(line: int, column: int, text: str) -> bytes:
    table = rows()
    table[line - 2][column] = text
    return csv_of(table)


def leak() -> bytes:
    table = rows()
    return csv_of(table, further={"tip": np.append(closes(table)[1:], 1.0)})


def nan_run() -> bytes:
    table = rows()
    for row in table[30:70]:
        row[4] = "nan"
    return csv_of(table)


BAD: dict[str, tuple[bytes, int, str, str]] = {
    "no volume": (
        csv_of([row[:5] for row in rows()], ("Date", "Open", "High", "Low", "Close")),
        422, "dataset_refused", "Needed and not there: volume",
    ),
    "text": (cell(9, 4, "many"), 422, "dataset_refused", "Line 9, column Close: 'many'"),
    "unsorted": (csv_of(rows()[::-1]), 422, "dataset_refused", "sort them oldest first"),
    "doubled": (
        cell(9, 0, "2020-01-07"), 422, "dataset_refused", "the same time as in line 8",
    ),
    "one row": (csv_of(rows(1)), 422, "dataset_refused", "1 row; at least 100"),
    "formula": (cell(9, 4, "=A1"), 422, "dataset_refused", "is a formula"),
    "gzip": (gzip.compress(GOOD), 422, "dataset_refused", "This is a gzip file"),
    "latin-1": (
        GOOD.decode().replace("mood", "Größe").encode("latin-1"),
        422, "dataset_refused", "Line 1 is not UTF-8",
    ),
    "nan run": (nan_run(), 422, "dataset_refused", "no value in 40 rows"),
    "leak": (leak(), 422, "dataset_refused", "Column tip goes with"),
    "a million columns": (
        ",".join(map(str, range(8_000))).encode(), 413, "dataset_too_large", "allowed: 20",
    ),
    "too many rows": (
        b"Date,Open,High,Low,Close,Volume\n" + b"2020-01-01,1,1,1,1,1\n" * 501,
        413, "dataset_too_large", "more than 500 rows",
    ),
    "too many bytes": (b"x" * 60_001, 413, "payload_too_large", "MRQ_MAX_DATASET_BYTES"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "status", "code", "said"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_and_leaves_nothing(
    client: TestClient,
    database: Database,
    settings: Settings,
    content: bytes,
    status: int,
    code: str,
    said: str,
) -> None:
    answer = client.post(UPLOAD, content=content, headers=CSV)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert said in problem["detail"]
    assert problem["param"] == "body"
    if code == "dataset_refused":
        assert problem["problems"][0]["msg"] in problem["detail"]
    assert set(row_counts(database).values()) == {0}
    assert files_in(settings) == []


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "application/json"}, "'application/json' must be one of text/csv"),
        ({"Content-Type": "application/zip"}, "text/csv (CSV), application/vnd.apache.parquet (Pa"),
        ({"Content-Type": "text/csv; charset=latin-1"}, "charset='latin-1' must be utf-8"),
        (CSV | {"Content-Encoding": "gzip"}, "'gzip' is not supported: send the file unpacked"),
    ],
)
def test_what_is_no_plain_csv_is_refused_before_it_is_read(
    client: TestClient, settings: Settings, headers: dict[str, str], said: str
) -> None:
    answer = client.post(UPLOAD, content=gzip.compress(b"0" * 10_000_000), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert said in answer.json()["detail"]
    assert files_in(settings) == []


@pytest.mark.parametrize(
    ("query", "param", "said"),
    [
        ("", "name", "missing"),
        ("name=a b", "name", "pattern"),
        ("name=ds_x", "name", "ids begin so"),
        ("name=a&role=prices", "role", "'timeseries'"),
        ("name=a&map=close", "map", "must be ROLE:COLUMN"),
        ("name=a&format=csv", "format", ""),
    ],
)
def test_a_bad_query_is_refused(client: TestClient, query: str, param: str, said: str) -> None:
    answer = client.post(f"/datasets?{query}", content=GOOD, headers=CSV)
    assert (answer.status_code, answer.json()["param"]) == (422, param)
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["text/csv; charset=utf-8; header=present", 'text/csv;charset="UTF-8"', "Text/CSV"],
)
def test_a_csv_by_any_of_its_names(client: TestClient, content_type: str) -> None:
    answer = client.post(UPLOAD, content=GOOD, headers={"Content-Type": content_type})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("path", ["", "/preview", "/validation"])
def test_there_is_no_such_dataset(client: TestClient, path: str) -> None:
    for reference in ("ds_0", "none", "none:1", "none:x"):
        answer = client.get(f"/datasets/{reference}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "dataset_not_found")


@pytest.fixture
def connection(serve: Callable[[], str]) -> Iterator[socket.socket]:
    port = int(serve().rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as opened:
        yield opened


HEAD = (
    f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def wait_until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_endless_body_is_cut_off_at_the_limit(
    connection: socket.socket, settings: Settings
) -> None:
    connection.sendall(HEAD.encode())
    for _ in range(8):
        connection.sendall(b"2000\r\n" + b"1" * 0x2000 + b"\r\n")
    assert b" 413 " in connection.recv(65_536).split(b"\r\n")[0]
    assert files_in(settings) == []


def test_who_hangs_up_leaves_nothing(
    connection: socket.socket, settings: Settings, database: Database
) -> None:
    connection.sendall(HEAD.encode() + b"10\r\n" + b"x" * 16 + b"\r\n")
    wait_until(lambda: len(files_in(settings)) == 1)  # it is being received
    connection.close()
    wait_until(lambda: files_in(settings) == [])
    assert set(row_counts(database).values()) == {0}


# ---- jobs


def test_a_job_names_its_dataset_and_pins_it(
    client: TestClient, uploaded: dict[str, Any], settings: Settings
) -> None:
    answer = client.post("/jobs", json=trading("walk"))
    assert answer.status_code == 201, answer.text
    job = answer.json()
    environment = job["spec"]["environment"]
    assert environment["dataset_id"] == uploaded["id"]
    assert environment["dataset"] == {
        "role": "timeseries",
        "sha256": uploaded["sha256"],
        "rows": 300,
        "episodes": 0,
        "choices": 0,
        "roles": uploaded["columns"]["roles"],
        "features": ["mood"],
    }
    assert environment["observation"] == {"kind": "vector", "shape": [8 * 7]}
    shown = client.get("/datasets/walk").json()
    assert (shown["job_count"], shown["used_by"]) == (1, [job["id"]])

    refused = client.delete("/datasets/walk")
    assert (refused.status_code, refused.json()["code"]) == (409, "pinned")
    assert refused.json()["jobs"] == [job["id"]]
    client.post(f"/jobs/{job['id']}/cancel")
    client.delete(f"/jobs/{job['id']}")
    assert client.delete("/datasets/walk").status_code == 409, "it may be restored"
    assert len(files_in(settings)) == 1


def test_a_resolved_job_and_a_clone_are_the_same_again(
    client: TestClient, uploaded: dict[str, Any]
) -> None:
    job = client.post("/jobs", json=trading(uploaded["id"])).json()
    again = client.post("/jobs?dry_run=true", json=job["spec"]).json()
    assert again["spec"] == job["spec"]
    clone = client.post(f"/jobs/{job['id']}/clone", json={}).json()
    assert clone["spec"] == job["spec"]
    client.post(UPLOAD, content=csv_of(rows(seed=1)), headers=CSV)
    newer = {"environment": {"dataset_id": "walk:2"}}
    other = client.post(f"/jobs/{job['id']}/clone", json=newer).json()
    assert other["spec"]["environment"]["dataset"]["features"] == []
    assert client.get("/datasets/walk:1").json()["job_count"] == 2
    seeds = client.post("/jobs", json=trading("walk:1") | {"seeds": [1, 2]})
    assert seeds.status_code == 201, seeds.text
    assert client.get("/datasets/walk:1").json()["job_count"] == 4


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"dataset_id": None}, "dataset_id", "needs a timeseries of POST /datasets"),
        ({"dataset_id": "none"}, "dataset_id", "'none' is no dataset of this service"),
        ({"id": "Pendulum-v1"}, "dataset_id", "Pendulum-v1 takes none"),
        ({"kwargs": {"fee": 1.5}}, "kwargs.fee", "less than or equal to 0.1"),
        ({"kwargs": {"file": "/etc/passwd"}}, "kwargs.file", "not permitted"),
        ({"kwargs": {"split": "test"}}, "kwargs.split", "not permitted"),
        (
            {"action_repeat": 2},
            "action_repeat",
            "action_repeat=2: in mrq/Trading-v0 a decision is for one row; allowed: 1",
        ),
        ({"kwargs": {"embargo": 100}}, "kwargs", "of 300 rows the validation split would have 0"),
        (
            {"dataset": {"sha256": "0" * 64, "rows": 900, "roles": {}, "features": []}},
            "dataset",
            "leave it out",
        ),
    ],
)
def test_a_job_that_does_not_fit_its_dataset_is_refused(
    client: TestClient,
    uploaded: dict[str, Any],
    database: Database,
    changes: dict[str, Any],
    param: str,
    said: str,
) -> None:
    answer = client.post("/jobs", json=trading("walk", **changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
    assert answer.json()["param"] == f"environment.{param}"
    assert said in answer.json()["detail"]
    assert row_counts(database)["jobs"] == row_counts(database)["job_datasets"] == 0
