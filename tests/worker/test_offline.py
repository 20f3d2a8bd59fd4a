"""A job on a log, from its row to a policy that is promoted, or is not."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from benchmarks.offline.cart import Logging, log_csv
from store.database import Database
from store.dataset_files import open_dataset_files
from store.datasets import add_dataset
from store.errors import NotEvaluated
from store.job_dataset import with_dataset
from store.jobs import get_job, submit_job
from store.policies import list_policies, promote_checkpoint
from store.settings import Settings
from store.spec import JobSpec
from store.states import CheckpointKind, JobStatus
from store.tables import Checkpoint, Evaluation, Job
from store.unpacked import Upload
from tests.worker.small import SMALL
from worker.supervisor import Supervisor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def trained(database: Database, settings: Settings, folder: Path, **kwargs: Any) -> Job:
    path = folder / "log.csv"
    path.write_bytes(log_csv(12, Logging(True), seed=0))
    upload = Upload(path=path, name="cart", role="transitions", mapped={}, dropped=[])
    add_dataset(database, open_dataset_files(settings), settings, upload)
    asked = {
        "name": "driver",
        "environment": {"id": "mrq/Logged-v0", "dataset_id": "cart", "kwargs": kwargs},
        "algorithm": {"mode": "offline", "hyperparameters": SMALL},
        "budget": {"total_steps": 40},
        "evaluation": {"every_steps": 20},
    }
    with database.read() as session:
        spec = with_dataset(session, JobSpec.model_validate(asked))
    job, _ = submit_job(database, spec)
    time.sleep(0.02)
    Supervisor(database, settings, "w1", lambda: False).run_next()
    with database.read() as session:
        return get_job(session, job.id)


def test_a_job_on_a_log_ends_with_a_policy_and_what_it_is_worth(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    job = trained(database, settings, tmp_path)
    assert (job.status, job.message) == (JobStatus.SUCCEEDED, None)
    with database.read() as session:
        (policy,), _ = list_policies(session, job_number=job.number)
        rows = session.scalars(select(Evaluation).order_by(Evaluation.step)).all()
    assert policy.checkpoint_id == job.best_checkpoint_id
    assert [row.step for row in rows] == [0, 20, 40]
    for row in rows:
        assert row.estimate is not None
        assert row.return_mean == row.estimate["fitted"]["value"]
        assert row.estimate["fitted"]["low"] <= row.return_mean <= row.estimate["fitted"]["high"]
        assert (row.estimate["episodes"], row.estimate["confidence"]) == (3, 0.95)
    assert job.best_return == max(row.return_mean for row in rows)


def test_a_policy_that_was_never_judged_is_promoted_by_force_alone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    job = trained(database, settings, tmp_path, validation_fraction=0.0)
    assert (job.status, job.best_checkpoint_id, job.best_return) == ("succeeded", None, None)
    with database.read() as session:
        assert list_policies(session, job_number=job.number)[0] == []
        assert session.scalars(select(Evaluation)).all() == []
        query = select(Checkpoint.id).where(Checkpoint.kind == CheckpointKind.POLICY)
        identity = session.scalars(query.order_by(Checkpoint.step.desc())).first()
    assert identity is not None
    with pytest.raises(NotEvaluated, match="force=true promotes it"):
        promote_checkpoint(database, identity, None)
    assert promote_checkpoint(database, identity, None, force=True).checkpoint_id == identity
