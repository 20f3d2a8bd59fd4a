"""Rings and reaps, with a bell of our own that remembers."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from store.database import Database
from store.doorbell import DoorbellSilent
from store.jobs import get_job, submit_job
from store.ownership import claim_next
from store.settings import Settings
from store.spec import JobSpec
from store.states import JobStatus, Reason
from store.tables import Job
from worker.reconciler import Reconciler


class RememberingBell:
    def __init__(self) -> None:
        self.rung: list[str] = []
        self.unheard = 0
        self.silent = False

    def ring(self, job_id: str) -> None:
        if self.silent:
            raise DoorbellSilent("down")
        self.rung.append(job_id)
        self.unheard += 1

    def waiting(self) -> int:
        return self.unheard


@pytest.fixture
def bell() -> RememberingBell:
    return RememberingBell()


@pytest.fixture
def reconciler(database: Database, settings: Settings, bell: RememberingBell) -> Reconciler:
    return Reconciler(database, settings, bell)


def _submit(database: Database) -> str:
    spec = {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 100}}
    return submit_job(database, JobSpec.model_validate(spec))[0].id


def _long_ago(database: Database) -> None:
    with database.write() as session:
        session.execute(update(Job).values(dispatched_at=1))


def test_each_new_job_is_rung_for_once(
    database: Database, reconciler: Reconciler, bell: RememberingBell
) -> None:
    first = _submit(database)
    reconciler.turn()
    reconciler.turn()
    second = _submit(database)
    reconciler.turn()
    assert bell.rung == [first, second]


def test_a_lost_message_is_rung_again_later(
    database: Database, reconciler: Reconciler, bell: RememberingBell
) -> None:
    job_id = _submit(database)
    reconciler.turn()
    bell.unheard = 0  # the broker was wiped
    _long_ago(database)
    reconciler.turn()
    assert bell.rung == [job_id, job_id]


def test_messages_do_not_pile_up_while_all_workers_are_busy(
    database: Database, reconciler: Reconciler, bell: RememberingBell
) -> None:
    for _ in range(3):
        _submit(database)
    for _ in range(5):
        _long_ago(database)
        reconciler.turn()
    assert bell.unheard == 3


def test_a_silent_broker_loses_nothing(
    database: Database, reconciler: Reconciler, bell: RememberingBell
) -> None:
    job_id = _submit(database)
    bell.silent = True
    with pytest.raises(DoorbellSilent):
        reconciler.turn()
    bell.silent = False
    reconciler.turn()
    assert bell.rung == [job_id]


def test_a_job_whose_owner_died_is_queued_and_rung_for(
    database: Database,
    make_settings: Callable[..., Settings],
    bell: RememberingBell,
) -> None:
    settings = make_settings(backoff_seconds=0.0)
    job_id = _submit(database)
    claim_next(database, settings, "worker", "host")
    with database.write() as session:
        session.execute(update(Job).values(lease_until=1))
    Reconciler(database, settings, bell).turn()
    with database.read() as session:
        job = get_job(session, job_id)
    assert (job.status, job.reason) == (JobStatus.QUEUED, Reason.WORKER_LOST)
    assert bell.rung == [job_id]
