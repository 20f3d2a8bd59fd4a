from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from store.database import Database
from store.events import append_event, read_events
from store.lifecycle import cancel_job
from store.settings import Settings
from store.tables import Job
from tests.store.acting import evaluate, events, progress, running, save, submit


def test_each_job_counts_for_itself(database: Database) -> None:
    first, second = submit(database), submit(database)
    cancel_job(database, first.id)
    assert [seq for seq, _, _ in events(database, first)] == [1, 2]
    assert [seq for seq, _, _ in events(database, second)] == [1]


def test_a_reader_goes_on_after_what_it_has_seen(database: Database) -> None:
    job = submit(database)
    with database.write() as session:
        session.scalars(select(Job).where(Job.number == job.number).with_for_update()).one()
        for number in range(4):
            append_event(session, job.number, "warning", {"n": number}, attempt=3)
    with database.read() as session:
        found = read_events(session, job.number, after=2, limit=2)
    assert [(e.seq, e.attempt, e.data) for e in found] == [(3, 3, {"n": 1}), (4, 3, {"n": 2})]


def test_numbers_are_dense_whoever_writes_at_once(database: Database, settings: Settings) -> None:
    """A reader that has seen 7 and then 9 would never go back for 8."""
    claimed = running(database, settings)

    def write(step: int) -> None:
        if step == 5:
            cancel_job(database, claimed.job_id)
        elif step % 2:
            evaluate(database, claimed, step, 1.0)
        else:
            save(database, claimed, step)
        progress(database, claimed, step)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(1, 19)))
    assert [seq for seq, _, _ in events(database, claimed)] == list(range(1, 22))


def test_a_number_cannot_be_given_twice(database: Database) -> None:
    """What would happen to writers without the job's lock: an error, not a lost event."""
    job = submit(database)
    with database.write() as one:
        one.scalars(select(Job).where(Job.number == job.number).with_for_update()).one()
        append_event(one, job.number, "warning", {})
    with pytest.raises(IntegrityError), database.write() as other:
        other.connection().exec_driver_sql(
            f"INSERT INTO events VALUES ({job.number}, 2, 0, 'warning', '{{}}', 0)"
        )
