"""The file of a dataset on its way to the trainer: the checked bytes, or the job fails."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.database import Database
from store.dataset_files import file_name, open_dataset_files
from store.datasets import add_dataset
from store.job_dataset import with_dataset
from store.jobs import get_job, submit_job
from store.settings import Settings
from store.spec import JobSpec
from store.states import JobStatus, Reason
from store.tables import Dataset, Job
from store.unpacked import Upload
from tests.buckets import Bucket
from tests.prices import csv_of, rows
from tests.worker.small import SMALL
from worker.supervisor import Supervisor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SCRIPTED = "tests.worker.scripted_trainer"


def add(database: Database, settings: Settings, folder: Path) -> Dataset:
    path = folder / "prices.csv"
    path.write_bytes(csv_of(rows(400)))
    upload = Upload(path=path, name="walk", role="timeseries", mapped={}, dropped=[])
    return add_dataset(database, open_dataset_files(settings), settings, upload)[0]


def run(database: Database, settings: Settings, trainer: str, **changes: Any) -> Job:
    asked = {
        "name": "good",
        "environment": {"id": "mrq/Trading-v0", "dataset_id": "walk"},
        "budget": {"total_steps": 100},
    }
    with database.read() as session:
        spec = with_dataset(session, JobSpec.model_validate(asked | changes))
    job, _ = submit_job(database, spec)
    time.sleep(0.02)
    worker = (
        Supervisor(database, settings, "w1", lambda: False, trainer)
        if trainer
        else Supervisor(database, settings, "w1", lambda: False)
    )
    worker.run_next()
    with database.read() as session:
        return get_job(session, job.id)


@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_file_that_is_not_what_was_checked_fails_the_job(
    database: Database, settings: Settings, tmp_path: Path, harm: str
) -> None:
    dataset = add(database, settings, tmp_path)
    file = settings.artifact_dir / "datasets" / file_name(dataset.sha256, dataset.id)
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(csv_of(rows(400, seed=1)))
    job = run(database, settings, SCRIPTED)
    assert (job.status, job.reason) == (JobStatus.FAILED, Reason.DATASET_ERROR)
    assert job.message is not None
    assert dataset.sha256 in job.message


def test_another_host_gets_it_from_the_bucket_and_trains_on_it(
    database: Database, make_settings: Callable[..., Settings], bucket: Bucket, tmp_path: Path
) -> None:
    """By the real trainer, which compares the hash once more."""
    server = make_settings(data_dir=tmp_path / "server", artifacts_url=bucket.url)
    dataset = add(database, server, tmp_path)
    host = make_settings(data_dir=tmp_path / "host", artifacts_url=bucket.url, disk_reserve_bytes=0)
    job = run(
        database,
        host,
        "",
        algorithm={"preset": "small", "hyperparameters": SMALL},
        evaluation={"episodes": 2, "every_steps": 50},
    )
    assert job.status == JobStatus.SUCCEEDED, job.message
    assert job.best_return is not None
    copies = [path.name for path in (host.cache_dir / "datasets").iterdir()]
    assert copies == [file_name(dataset.sha256, dataset.id)]
