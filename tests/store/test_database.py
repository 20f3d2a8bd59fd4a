import threading

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from store.database import Database
from store.jobs import count_jobs_by_status
from store.tables import Job
from tests.store.acting import reload, submit


def test_an_exception_rolls_everything_back(database: Database) -> None:
    job = submit(database)

    def fail_halfway() -> None:
        with database.write() as session:
            session.execute(update(Job).values(step=7))
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert reload(database, job).step == 0


def test_no_update_is_lost_between_a_read_and_a_write(database: Database) -> None:
    """Read, then write what was read plus one: the pattern that a deferred transaction loses."""
    job = submit(database)

    def add_one() -> None:
        for _ in range(5):
            with database.write() as session:
                row = select(Job).where(Job.number == job.number).with_for_update()
                found = session.scalars(row).one()
                found.step += 1

    threads = [threading.Thread(target=add_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reload(database, job).step == 20


def test_a_read_sees_one_snapshot(database: Database) -> None:
    """Else an evaluation may be seen whose attempt was not there a query ago."""
    submit(database)
    with database.read() as session:
        assert count_jobs_by_status(session) == {"queued": 1}
        submit(database)
        assert count_jobs_by_status(session) == {"queued": 1}
    with database.read() as session:
        assert count_jobs_by_status(session) == {"queued": 2}


def test_a_read_changes_nothing(database: Database) -> None:
    job = submit(database)
    with pytest.raises(DBAPIError, match=r"read-?only"), database.read() as session:
        session.execute(update(Job).values(step=7))
    assert reload(database, job).step == 0


def test_a_write_after_a_read_on_the_same_pool_is_allowed(database: Database) -> None:
    """On PostgreSQL both share their connections; `read only` must not stick to one."""
    for _ in range(3):
        submit(database)
        with database.read() as session:
            count_jobs_by_status(session)
    with database.read() as session:
        assert count_jobs_by_status(session) == {"queued": 3}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_keeps_what_is_committed(database: Database) -> None:
    with database.write() as session:
        found = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_waits_for_nothing_for_ever(database: Database) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with database.write() as session:
        found = [session.execute(text(f"SHOW {name}")).scalar_one() for name in names]
    assert found == ["5s", "2s", "10s"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_every_whole_number_is_64_bits_wide_where_it_must_be(database: Database) -> None:
    """Milliseconds and steps do not fit 32 bits."""
    query = text(
        "SELECT table_name || '.' || column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type IN ('integer', 'smallint') ORDER BY 1"
    )
    with database.read() as session:
        assert list(session.scalars(query)) == [
            "attempts.exit_code",
            "checkpoints.format_version",
            "jobs.attempts_since_progress",
            "jobs.error_failures",
            "jobs.infrastructure_failures",
            "jobs.priority",
            "metric_points.flag",
            "policies.version",
            "policy_names.version",
        ]
