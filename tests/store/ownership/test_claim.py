"""Who gets a job, and that only one does."""

from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from store.database import Database
from store.ownership import Claim, claim_next
from store.settings import Settings
from store.tables import Attempt, Job
from tests.store.acting import (
    attempts,
    change,
    claim,
    clock,
    events,
    release,
    reload,
    submit,
)

# ---- claiming


def test_a_claim_takes_the_job_and_says_so(database: Database, settings: Settings) -> None:
    job = submit(database)
    before = clock(database)
    claimed = claim(database, settings)
    taken = reload(database, job)
    assert claimed == Claim(job_number=job.number, job_id=job.id, epoch=1, spec=job.spec)
    assert (taken.status, taken.epoch, taken.worker) == ("running", 1, "w1")
    lease = int(1000 * settings.lease_seconds)
    assert before + lease <= taken.lease_until <= clock(database) + lease
    assert [(a.number, a.status, a.host) for a in attempts(database, job)] == [
        (1, "running", "host1")
    ]
    data = {"status": "running", "attempt": 1, "worker": "w1"}
    assert events(database, job)[-1] == (2, "status", data)


def test_nothing_waits_nothing_is_claimed(database: Database, settings: Settings) -> None:
    assert claim_next(database, settings, "w1", "host1") is None
    submit(database)
    claim(database, settings)
    assert claim_next(database, settings, "w2", "host1") is None


def test_many_workers_claim_each_job_once(database: Database, settings: Settings) -> None:
    jobs = [submit(database).id for _ in range(12)]

    def take_all(worker: int) -> list[str]:
        taken = []
        while (got := claim_next(database, settings, f"w{worker}", "host1")) is not None:
            taken.append(got.job_id)
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [job_id for part in pool.map(take_all, range(8)) for job_id in part]
    assert sorted(taken) == sorted(jobs)
    with database.read() as session:
        assert set(session.scalars(select(Job.epoch))) == {1}
        assert session.execute(select(func.count()).select_from(Attempt)).scalar_one() == 12


def test_priority_first_then_order_of_submission(database: Database, settings: Settings) -> None:
    first, second, urgent, later = (submit(database) for _ in range(4))
    change(database, urgent, priority=5)
    change(database, later, not_before=clock(database) + 60_000)
    taken = [claim(database, settings).job_id for _ in range(3)]
    assert taken == [urgent.id, first.id, second.id]
    assert claim_next(database, settings, "w1", "host1") is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_locked_for_a_moment_is_waited_for(database: Database, settings: Settings) -> None:
    """`mark_rung` or a cancel may hold the only row just when its bell is answered."""
    job = submit(database)
    taken: list[Claim | None] = []
    thread = Thread(target=lambda: taken.append(claim_next(database, settings, "w1", "host1")))
    with database.write() as session:
        session.execute(update(Job).values(dispatched_at=1))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it looks a second time, and waits"
    thread.join()
    assert [c.job_id if c else None for c in taken] == [job.id]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_locked_job_does_not_hold_up_others(database: Database, settings: Settings) -> None:
    first, second = submit(database), submit(database)
    with database.write() as session:
        session.execute(update(Job).where(Job.number == first.number).values(dispatched_at=1))
        assert claim(database, settings).job_id == second.id


def test_the_epoch_grows_with_each_claim(database: Database, settings: Settings) -> None:
    job = submit(database)
    epochs = []
    for _ in range(3):
        claimed = claim(database, settings)
        epochs.append(claimed.epoch)
        release(database, claimed)
    assert epochs == [1, 2, 3]
    assert [a.number for a in attempts(database, job)] == [1, 2, 3]


# ---- the reads behind it


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_claim_reads_the_index_of_waiting_jobs(database: Database, settings: Settings) -> None:
    """10 000 ended jobs must not slow down each claim."""
    submit(database)
    seen: list[tuple[str, Any]] = []

    def see(_c: object, _cur: object, statement: str, parameters: object, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", see)
    claim(database, settings)
    event.remove(database.engine, "before_cursor_execute", see)
    statement, parameters = seen[0]
    # As text: a plan made for any value of a parameter cannot use an index for one value.
    assert "WHERE jobs.status = 'queued'" in statement
    with database.write() as session:
        connection = session.connection()
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which suits a tiny table
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()
    assert "Index Scan using ix_jobs_claim" in str(plan)
