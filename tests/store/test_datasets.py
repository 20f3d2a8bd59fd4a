"""Files before rows, rows before files: a dataset is whole, or it is not there."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from store import deletion
from store.database import Database
from store.dataset_files import (
    DatasetDamaged,
    DatasetFiles,
    RemoteDatasetFiles,
    file_name,
    open_dataset_files,
)
from store.datasets import add_dataset, delete_dataset, find_dataset
from store.errors import FileGone, NotFound, Pinned, StorageUnreachable
from store.garbage import damaged_datasets, find_garbage, remove_garbage
from store.job_dataset import with_dataset
from store.jobs import submit_job
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Dataset, Job
from store.unpacked import Upload
from tests.buckets import Bucket
from tests.prices import csv_of, rows
from tests.store.acting import BODY, change

CONTENT = csv_of(rows(120))


@pytest.fixture(params=["folder", "bucket"])
def stored_in(request: pytest.FixtureRequest, make_settings: Callable[..., Settings]) -> Settings:
    if request.param == "folder":
        return make_settings()
    return make_settings(artifacts_url=request.getfixturevalue("bucket").url)


@pytest.fixture
def files(stored_in: Settings) -> DatasetFiles:
    return open_dataset_files(stored_in)


def upload(folder: Path, content: bytes = CONTENT, name: str = "walk") -> Upload:
    path = folder / f"{name}.csv"
    path.write_bytes(content)
    return Upload(path=path, name=name, role="timeseries", mapped={}, dropped=[])


def add(database: Database, settings: Settings, folder: Path, content: bytes = CONTENT) -> Dataset:
    files = open_dataset_files(settings)
    return add_dataset(database, files, settings, upload(folder, content))[0]


def job_on(database: Database, dataset: Dataset) -> Job:
    environment = {"id": "mrq/Trading-v0", "dataset_id": dataset.id}
    with database.read() as session:
        spec = with_dataset(session, JobSpec.model_validate(BODY | {"environment": environment}))
    return submit_job(database, spec)[0]


def names(files: DatasetFiles) -> list[str]:
    return [each.name for each in files.stored()]


def rows_of(database: Database) -> int:
    with database.read() as session:
        return session.execute(select(func.count()).select_from(Dataset)).scalar_one()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_is_read_back_by_its_hash(
    database: Database, stored_in: Settings, files: DatasetFiles, tmp_path: Path
) -> None:
    dataset = add(database, stored_in, tmp_path)
    name = file_name(dataset.sha256, dataset.id)
    assert names(files) == [name]
    assert files.fetch(name).read_bytes() == CONTENT
    assert b"".join(files.read(name, 5, 50)) == CONTENT[5:50]
    files.fetch(name).write_bytes(b"spoilt")
    if isinstance(files, RemoteDatasetFiles):
        assert files.fetch(name).read_bytes() == CONTENT, "the copy is brought anew"
    else:
        with pytest.raises(DatasetDamaged, match="has sha256"):
            files.fetch(name)
    delete_dataset(database, files, dataset.id)
    assert (names(files), rows_of(database)) == ([], 0)
    with pytest.raises(DatasetDamaged):
        files.fetch(name)
    with pytest.raises(FileGone):
        list(files.read(name, 0, 1))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_object_that_was_spoilt_is_not_taken(
    database: Database, make_settings: Callable[..., Settings], bucket: Bucket, tmp_path: Path
) -> None:
    settings = make_settings(artifacts_url=bucket.url)
    dataset = add(database, settings, tmp_path)
    name = file_name(dataset.sha256, dataset.id)
    bucket.put(f"datasets/{name}", b"other bytes")
    with pytest.raises(DatasetDamaged, match="has sha256"):
        open_dataset_files(settings).fetch(name)
    assert list((settings.cache_dir / "datasets").iterdir()) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_store_that_is_away_leaves_no_row(
    database: Database,
    make_settings: Callable[..., Settings],
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = make_settings(artifacts_url="s3://no-such-bucket/x")
    with pytest.raises(StorageUnreachable):
        add(database, settings, tmp_path)
    assert rows_of(database) == 0


def test_a_row_that_fails_leaves_no_file(
    database: Database, stored_in: Settings, files: DatasetFiles, tmp_path: Path
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the row cannot be written")

    event.listen(Dataset, "before_insert", fail)
    try:
        with pytest.raises(RuntimeError, match="the row"):
            add(database, stored_in, tmp_path)
    finally:
        event.remove(Dataset, "before_insert", fail)
    assert (names(files), rows_of(database)) == ([], 0)
    assert add(database, stored_in, tmp_path).version == 1


def test_a_job_pins_it_until_the_job_is_purged(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    files = open_dataset_files(settings)
    dataset = add(database, settings, tmp_path)
    job = job_on(database, dataset)
    with pytest.raises(Pinned, match=f"is what {job.id} trains on"):
        delete_dataset(database, files, "walk")
    change(database, job, status="cancelled")
    deletion.delete_job(database, job.id)
    with pytest.raises(Pinned):
        delete_dataset(database, files, "walk")
    change(database, job, deleted_at=1)
    assert deletion.purge_deleted(database, settings) == [job.id]
    delete_dataset(database, files, "walk")
    assert (names(files), rows_of(database)) == ([], 0)


def test_a_dataset_that_goes_just_then_takes_the_job_with_it(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    """Between the look-up of the spec's dataset and the job's row."""
    dataset = add(database, settings, tmp_path)
    environment = {"id": "mrq/Trading-v0", "dataset_id": dataset.id}
    with database.read() as session:
        spec = with_dataset(session, JobSpec.model_validate(BODY | {"environment": environment}))
    delete_dataset(database, open_dataset_files(settings), dataset.id)
    with pytest.raises(NotFound):
        submit_job(database, spec)
    with database.read() as session:
        assert session.execute(select(func.count()).select_from(Job)).scalar_one() == 0


def test_of_a_job_and_a_deletion_at_once_one_wins(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    files = open_dataset_files(settings)
    for turn in range(6):
        dataset = add(database, settings, tmp_path, csv_of(rows(120, seed=turn)))
        environment = {"id": "mrq/Trading-v0", "dataset_id": dataset.id}
        body = BODY | {"environment": environment}
        with database.read() as session:
            spec = with_dataset(session, JobSpec.model_validate(body))
        outcomes: list[str] = []
        barrier = threading.Barrier(2)

        def run(what: Callable[[], Any], outcomes: list[str], barrier: threading.Barrier) -> None:
            barrier.wait()
            try:
                what()
            except (NotFound, Pinned) as error:
                outcomes.append(error.code)

        threads = [
            threading.Thread(target=run, args=(what, outcomes, barrier))
            for what in (
                lambda spec=spec: submit_job(database, spec),
                lambda dataset=dataset: delete_dataset(database, files, dataset.id),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes in (["pinned"], ["dataset_not_found"])
        there = file_name(dataset.sha256, dataset.id) in names(files)
        assert there == (outcomes == ["pinned"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_files_without_a_row_are_garbage_and_no_others(
    database: Database,
    stored_in: Settings,
    files: DatasetFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = add(database, stored_in, tmp_path)
    stray = file_name("0" * 64, "ds_00")
    files.put(upload(tmp_path).path, stray)
    assert find_garbage(database, stored_in) == [], "its row may come yet"
    now = time.time() + 3_600
    monkeypatch.setattr("store.garbage.time.time", lambda: now)
    assert [each.folder for each in find_garbage(database, stored_in)] == [stray]
    remove_garbage(stored_in, find_garbage(database, stored_in))
    assert names(files) == [file_name(dataset.sha256, dataset.id)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_damaged_file_is_found(
    database: Database, make_settings: Callable[..., Settings], bucket: Bucket, tmp_path: Path
) -> None:
    local, remote = make_settings(), make_settings(artifacts_url=bucket.url)
    for settings in (local, remote):
        assert list(damaged_datasets(database, settings)) == []
    dataset = add(database, remote, tmp_path)
    name = file_name(dataset.sha256, dataset.id)
    assert list(damaged_datasets(database, remote)) == []
    (missing,) = damaged_datasets(database, local)
    assert (missing.invariant, missing.job_id) == ("I4", dataset.id)
    bucket.put(f"datasets/{name}", b"other bytes")
    (spoilt,) = damaged_datasets(database, remote)
    assert "dataset walk:1" in spoilt.text
    assert "has sha256" in spoilt.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_same_upload_again_puts_a_lost_or_damaged_file_back(
    database: Database, stored_in: Settings, files: DatasetFiles, tmp_path: Path
) -> None:
    dataset = add(database, stored_in, tmp_path)
    name = file_name(dataset.sha256, dataset.id)
    spoilt = tmp_path / "spoilt"
    spoilt.write_bytes(b"other bytes")
    for spoil in (partial(files.remove, name), partial(files.put, spoilt, name)):
        spoil()
        with pytest.raises(DatasetDamaged):
            files.check(name)
        assert add(database, stored_in, tmp_path).id == dataset.id
        assert files.fetch(name).read_bytes() == CONTENT


def test_copies_that_nobody_asks_for_go(
    database: Database, make_settings: Callable[..., Settings], bucket: Bucket, tmp_path: Path
) -> None:
    settings = make_settings(artifacts_url=bucket.url)
    folder = settings.cache_dir / "datasets"
    folder.mkdir(parents=True)
    for n in range(20):
        (folder / f"{n:064x}-ds_{n:02x}").write_bytes(b"")
        os.utime(folder / f"{n:064x}-ds_{n:02x}", (time.time() - (86_500 if n < 10 else 0),) * 2)
    dataset = add(database, settings, tmp_path)
    open_dataset_files(settings).fetch(file_name(dataset.sha256, dataset.id))
    left = sorted(path.name for path in folder.iterdir())
    assert file_name(dataset.sha256, dataset.id) in left
    assert len(left) == 16


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reference_is_an_id_a_name_or_a_version(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    first = add(database, settings, tmp_path)
    second = add(database, settings, tmp_path, csv_of(rows(120, seed=1)))
    with database.read() as session:
        for reference, expected in [(first.id, first), ("walk", second), ("walk:1", first)]:
            assert find_dataset(session, reference).id == expected.id
        for unknown in ("ds_x", "other", "walk:3", "walk:x", "walk:9999999999", "\x00"):
            with pytest.raises(NotFound):
                find_dataset(session, unknown)
