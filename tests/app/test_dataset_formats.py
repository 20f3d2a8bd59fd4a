"""Datasets that are no CSV, over HTTP: made one at the upload, and refused as a whole."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from starlette.testclient import TestClient

from benchmarks.offline.cart import Logging, log_csv
from store import dataset_formats, unpacked
from store.database import Database
from store.settings import Settings
from tests.app.driving import row_counts, spec
from tests.mrq_core.unpacking_of import minari, npz_of
from tests.prices import HEADER, csv_of
from tests.prices import rows as prices

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CSV, NPZ = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-npz"}
UPLOAD = "/datasets?name=cart&role=transitions"
LOG = log_csv(12, Logging(discrete=True), seed=0)


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(max_dataset_unpacked_bytes=1_000_000)


def arrays(content: bytes = LOG) -> dict[str, Any]:
    """Of the log's rows with an outcome; its episodes end by the flags alone."""
    rows = [row for row in csv.DictReader(io.StringIO(content.decode())) if row["action"]]
    columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    place, speed = columns.pop("place"), columns.pop("speed")
    del columns["episode"]
    return {"observation": np.column_stack([place, speed]).astype(np.float32), **columns}


def files_in(settings: Settings) -> list[str]:
    folders = (settings.artifact_dir, settings.data_dir / "uploads")
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_an_npz_is_kept_as_the_table_that_it_makes(client: TestClient, settings: Settings) -> None:
    content = npz_of(arrays())
    answer = client.post(UPLOAD, content=content, headers=NPZ)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["source"] == {
        "format": "npz", "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content),
    }  # fmt: skip
    assert client.get("/datasets/cart/validation").json()["source"] == body["source"]
    assert body["columns"]["features"] == ["observation_0", "observation_1"]
    assert (body["columns"]["choices"], body["columns"]["episodes"]) == (3, 12)
    (name,) = files_in(settings)
    kept = (settings.artifact_dir / "datasets" / name).read_bytes()
    assert body["sha256"] == hashlib.sha256(kept).hexdigest()
    assert body["size_bytes"] == len(kept)
    preview = client.get("/datasets/cart/preview?limit=1").json()
    assert preview["columns"][:3] == ["episode", "observation_0", "observation_1"]
    assert preview["rows"][0][1] == LOG.decode().splitlines()[1].split(",")[1].rstrip("0")
    job = spec(environment={"id": "mrq/Logged-v0", "dataset_id": "cart"})
    job["algorithm"] = {"mode": "offline", "preset": "small"}
    assert client.post("/jobs", json=job).status_code == 201


def test_the_same_table_in_another_file_is_the_same_version(client: TestClient) -> None:
    first = client.post(UPLOAD, content=npz_of(arrays()), headers=NPZ).json()
    file = io.BytesIO()
    np.savez(file, **arrays())
    again = client.post(UPLOAD, content=file.getvalue(), headers=NPZ)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    kept = client.post(UPLOAD, content=LOG, headers=CSV).json()
    assert (kept["version"], kept["source"]) == (2, None)


def test_columns_are_mapped_and_arrays_dropped(client: TestClient) -> None:
    written = arrays()
    written["gain"] = written.pop("reward")
    written["infos"] = np.array([{}], object)
    answer = client.post(
        f"{UPLOAD}&map=reward:gain&drop=infos", content=npz_of(written), headers=NPZ
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["columns"]["roles"]["reward"] == "gain"
    refusal = client.post(f"{UPLOAD}&drop=info", content=npz_of(written), headers=NPZ)
    assert "infos holds Python objects" in refusal.json()["detail"]


def with_a_hole() -> bytes:
    written = arrays()
    written["reward"][7] = np.nan
    return npz_of(written)


def test_prices_come_as_parquet_and_are_traded(client: TestClient) -> None:
    table = prices()
    columns: dict[str, Any] = {
        name: [float(row[n]) for row in table] for n, name in enumerate(HEADER) if n
    }
    days = pa.array([datetime.fromisoformat(row[0]) for row in table], pa.timestamp("ns"))
    file = io.BytesIO()
    parquet.write_table(pa.table({"Date": days, **columns, "odd": [[1]] * len(table)}), file)
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    refusal = client.post("/datasets?name=walk", content=file.getvalue(), headers=headers)
    assert "Column odd is of the type list" in refusal.json()["detail"]
    answer = client.post("/datasets?name=walk&drop=odd", content=file.getvalue(), headers=headers)
    assert answer.status_code == 201, answer.text
    report = client.get("/datasets/walk/validation").json()
    assert report["time"]["first"] == "2020-01-01T00:00:00Z"
    as_csv = client.post("/datasets?name=plain", content=csv_of(table), headers=CSV)
    plain = client.get(as_csv.json()["links"]["validation"]).json()
    assert report.pop("source")["format"] == "parquet"
    assert report == plain
    job = spec(environment={"id": "mrq/Trading-v0", "dataset_id": "walk"})
    assert client.post("/jobs", json=job).status_code == 201


def test_a_minari_dataset_is_a_log(client: TestClient) -> None:
    headers = {"Content-Type": "application/x-hdf5"}
    answer = client.post(UPLOAD, content=minari(), headers=headers)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["columns"]["choices"], answer.json()["columns"]["episodes"]) == (3, 12)
    report = client.get("/datasets/cart/validation").json()["episodes"]
    assert (report["transitions"], report["terminated"], report["truncated"]) == (60, 6, 6)


BAD: dict[str, tuple[bytes, dict[str, str], int, str, str]] = {
    "a hole": (with_a_hole(), NPZ, 422, "dataset_refused",
               "Line 9, column reward: '' is missing: fill it, or remove the row. Lines are"),
    "objects": (npz_of({"infos": np.array([{}], object)}), NPZ, 422, "dataset_refused",
                "infos holds Python objects, which are never read"),
    "no outcome": (npz_of({"observation": np.zeros((60, 2))}), NPZ, 422, "dataset_refused",
                   "Needed and not there: episode, reward, terminated, action"),
    "a bomb": (npz_of({"observation": np.zeros(1_000_000)}), NPZ, 413, "dataset_too_large",
               "unpacks to 8,000,"),
    "too much text": (npz_of({"observation": np.full((40_000, 9), 1 / 3)[:, :3]}), NPZ, 413,
                      "dataset_too_large", "unpacks to"),
    "a CSV": (LOG, NPZ, 422, "dataset_refused", "no NPZ file"),
    "an NPZ as CSV": (npz_of(arrays()), CSV, 422, "dataset_refused", "its own Content-Type"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "headers", "status", "code", "said"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_and_leaves_nothing(
    client: TestClient,
    database: Database,
    settings: Settings,
    content: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
    said: str,
) -> None:
    answer = client.post(UPLOAD, content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert said in answer.json()["detail"]
    assert answer.json()["param"] == "body"
    assert set(row_counts(database).values()) == {0}
    assert files_in(settings) == []


def test_prices_do_not_come_as_npz(client: TestClient) -> None:
    answer = client.post("/datasets?name=walk", content=npz_of(arrays()), headers=NPZ)
    assert (answer.status_code, answer.json()["param"]) == (422, "role")
    assert "NPZ holds transitions alone; send a timeseries as CSV or Parquet" in answer.text


@pytest.mark.parametrize(
    ("media_type", "extra"),
    [("application/vnd.apache.parquet", "parquet"), ("application/x-hdf5", "minari")],
)
def test_a_format_whose_library_is_not_here_is_told_with_the_command(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, media_type: str, extra: str
) -> None:
    monkeypatch.setattr(dataset_formats, "find_spec", lambda _: None)
    answer = client.post(UPLOAD, content=b"", headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (422, "format_not_installed")
    assert answer.json()["install"] == f"pip install 'mrq-service[{extra}]'"
    assert answer.json()["install"] in answer.json()["detail"]


def test_what_takes_too_long_to_unpack_is_given_up(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "SECONDS", 0.001)
    answer = client.post(UPLOAD, content=npz_of(arrays()), headers=NPZ)
    assert (answer.status_code, answer.json()["code"]) == (422, "dataset_refused")
    assert "takes more than 0.001 s" in answer.json()["detail"]
    assert files_in(settings) == []


def test_what_kills_its_reader_is_refused(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a C library might, on a file that is made for it."""
    monkeypatch.setattr(unpacked, "OWN_BYTES", -1_900_000)
    answer = client.post(UPLOAD, content=npz_of(arrays()), headers=NPZ)
    assert (answer.status_code, answer.json()["code"]) == (422, "dataset_refused")
    assert "what reads it failed" in answer.json()["detail"]
    assert files_in(settings) == []
