import socket
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from store.clock import now_ms
from store.database import Database
from store.jobs import submit_job
from store.lifecycle import cancel_job
from store.ownership import Claim, claim_next
from store.settings import Settings
from store.spec import JobSpec
from store.states import Desired
from store.tables import Job
from worker.lease import Lease


def _claim(database: Database, settings: Settings) -> Claim:
    spec = {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 100}}
    submit_job(database, JobSpec.model_validate(spec))
    claim = claim_next(database, settings, "worker", "host")
    assert claim is not None
    return claim


def _wait(reached: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.02)


def _left_ms(database: Database) -> int:
    with database.read() as session:
        return session.execute(select(Job.lease_until - now_ms())).scalar_one()


def test_the_lease_is_renewed_while_held(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(lease_seconds=3.0, heartbeat_seconds=0.1)
    with Lease(settings, _claim(database, settings)) as lease:
        until = time.monotonic() + 4.0  # longer than the lease
        while time.monotonic() < until:
            assert lease.held
            time.sleep(0.1)
        assert _left_ms(database) > 0


def test_a_cancel_is_heard(database: Database, make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(lease_seconds=3.0, heartbeat_seconds=0.05)
    claim = _claim(database, settings)
    with Lease(settings, claim) as lease:
        cancel_job(database, claim.job_id)
        _wait(lambda: lease.wish.desired == Desired.CANCEL)


def test_a_newer_epoch_ends_it(database: Database, make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(lease_seconds=30.0, heartbeat_seconds=0.05)
    with Lease(settings, _claim(database, settings)) as lease:
        with database.write() as session:
            session.execute(update(Job).values(epoch=Job.epoch + 1))
        _wait(lambda: not lease.held)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_the_database_it_fences_itself_before_the_lease_ends(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(lease_seconds=2.0, heartbeat_seconds=0.05)
    claim = _claim(database, settings)
    away = settings.model_copy(update={"database_url": "sqlite:////nowhere/mrq.db"})
    beginning = time.monotonic()
    with Lease(away, claim) as lease:
        assert lease.held
        _wait(lambda: not lease.held)
        assert time.monotonic() - beginning > 1.4


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_trainer_is_stopped_in_time_though_the_database_neither_answers_nor_refuses(
    database: Database, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(lease_seconds=2.0, heartbeat_seconds=0.05)
    claim = _claim(database, settings)
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        beginning = time.monotonic()
        with Lease(settings.model_copy(update={"database_url": url}), claim) as lease:
            lease.when_lost(stopped.set)
            assert not stopped.wait(1.4)
            assert stopped.wait(0.5)
            assert time.monotonic() - beginning < settings.lease_seconds
            silent.close()  # so that the beat that hangs ends
