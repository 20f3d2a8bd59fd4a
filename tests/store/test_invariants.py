"""Each invariant holds in a lively database, and each is seen to be broken when it is."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from store.database import Database
from store.endings import finish, reap_expired
from store.events import append_event
from store.extension import extend_job
from store.invariants import broken_invariants
from store.lifecycle import cancel_job, pause_job, resume_job, retry_job
from store.ownership import Claim, start_from
from store.policies import succeed
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Attempt, Checkpoint, Evaluation, Event, Job, MetricPoint
from tests.store.acting import (
    change,
    checkpoint,
    claim,
    clock,
    evaluate,
    let_lease_expire,
    progress,
    release,
    reload,
    running,
    save,
    submit,
    submitted_long_ago,
)

LATER = 10_000_000  # milliseconds


def train(database: Database, claimed: Claim, first: int, last: int) -> None:
    for step in range(first, last + 1, 25):
        progress(database, claimed, step, reward_scale=1.0)


def trained(database: Database, settings: Settings) -> Claim:
    """Lost after 300 of its 1,000 steps, resumed from 200, and done."""
    first = running(database, settings)
    train(database, first, 25, 300)
    save(database, first, 200)
    let_lease_expire(database, first)
    reap_expired(database, settings)
    change(database, first, not_before=0)
    second = claim(database, settings, "w2")
    start_from(database, second, checkpoint(database, second, 200))
    train(database, second, 225, 1_000)
    evaluate(database, second, 1_000, 5.0)
    save(database, second, 1_000)
    succeed(database, second, weights_sha256="ab", step=1_000)
    return second


def found(database: Database, settings: Settings) -> list[str]:
    return [finding.invariant for finding in broken_invariants(database, settings)]


def test_all_hold_in_a_lively_database(database: Database, settings: Settings) -> None:
    done = trained(database, settings)
    extend_job(database, settings, done.job_id, {"total_steps": 2_000})
    again = claim(database, settings)
    start_from(database, again, checkpoint(database, again, 1_000))
    train(database, again, 1_025, 1_100)
    pause_job(database, done.job_id)
    release(database, again)

    failed = running(database, settings)
    finish(database, failed, JobStatus.FAILED, Reason.NON_FINITE)
    retry_job(database, failed.job_id)
    cancel_job(database, failed.job_id)
    waiting = submit(database)
    resume_job(database, pause_job(database, waiting.id).id)
    running(database, settings)
    assert broken_invariants(database, settings) == []


def write(database: Database, statement: Any) -> None:
    with database.write() as session:
        session.execute(statement)


def revive(database: Database, _: Settings, done: Claim) -> None:
    """As a late verdict without its guard would."""
    change(database, done, status="failed")
    with database.write() as session:
        append_event(session, done.job_number, "status", {"status": "failed", "reason": "x"})


def set_back_the_epoch(database: Database, _: Settings, done: Claim) -> None:
    change(database, done, epoch=1)


def lose_an_attempt(database: Database, _: Settings, done: Claim) -> None:
    mine = Attempt.job_number == done.job_number
    write(database, delete(Attempt).where(mine, Attempt.number == 1))


def leave_an_attempt_open(database: Database, _: Settings, done: Claim) -> None:
    write(database, update(Attempt).where(Attempt.number == 1).values(status="running"))


def _late(database: Database, table: type[Any], at: str, attempt: int = 1) -> None:
    later = clock(database) + LATER
    write(database, update(table).where(table.attempt == attempt).values({at: later}))


def late_metric(database: Database, _: Settings, done: Claim) -> None:
    _late(database, MetricPoint, "at")


def late_event(database: Database, _: Settings, done: Claim) -> None:
    _late(database, Event, "at")


def late_checkpoint(database: Database, _: Settings, done: Claim) -> None:
    _late(database, Checkpoint, "created_at")


def late_evaluation(database: Database, _: Settings, done: Claim) -> None:
    write(database, update(Evaluation).values(attempt=1))
    _late(database, Evaluation, "created_at")


def write_for_nobody(database: Database, _: Settings, done: Claim) -> None:
    with database.read() as session:
        key = session.scalars(select(MetricPoint.key_id)).first()
    row = {"job_number": done.job_number, "key_id": key, "step": 1, "attempt": 9, "at": 1}
    write(database, insert(MetricPoint).values(**row, flag=0, value=1.0))


def lose_the_checkpoint(database: Database, _: Settings, done: Claim) -> None:
    write(database, delete(Checkpoint).where(Checkpoint.kind == "training"))


def lose_a_metric(database: Database, _: Settings, done: Claim) -> None:
    write(database, delete(MetricPoint).where(MetricPoint.step == 500))


def lose_the_last_metrics(database: Database, _: Settings, done: Claim) -> None:
    write(database, delete(MetricPoint).where(MetricPoint.step > 900))


def ring_no_more(database: Database, settings: Settings, done: Claim) -> None:
    submitted_long_ago(database)


def reap_no_more(database: Database, settings: Settings, done: Claim) -> None:
    let_lease_expire(database, running(database, settings))


@pytest.mark.parametrize(
    ("harm", "invariant"),
    [
        (revive, "I1"),
        (set_back_the_epoch, "I2"),
        (lose_an_attempt, "I2"),
        (leave_an_attempt_open, "I3"),
        (late_metric, "I3"),
        (late_event, "I3"),
        (late_checkpoint, "I3"),
        (late_evaluation, "I3"),
        (write_for_nobody, "I3"),
        (lose_the_checkpoint, "I4"),
        (lose_a_metric, "I5"),
        (lose_the_last_metrics, "I5"),
        (ring_no_more, "I6"),
        (reap_no_more, "I7"),
    ],
)
def test_what_is_broken_is_found(
    database: Database,
    settings: Settings,
    harm: Callable[[Database, Settings, Claim], None],
    invariant: str,
) -> None:
    done = trained(database, settings)
    assert found(database, settings) == []
    harm(database, settings, done)
    assert invariant in found(database, settings)


def test_a_finding_names_the_job_and_what_to_do(database: Database, settings: Settings) -> None:
    job = submitted_long_ago(database)
    (finding,) = broken_invariants(database, settings)
    assert finding.job_id == job.id == reload(database, job).id
    assert "worker.reconciler" in finding.advice
    change(database, job, status="paused")
    assert broken_invariants(database, settings) == []


def test_a_job_that_waits_for_its_pause_is_in_order(database: Database, settings: Settings) -> None:
    job = submitted_long_ago(database)
    change(database, job, not_before=clock(database) + LATER)
    assert broken_invariants(database, settings) == []


def test_the_newest_job_is_rung_for_soon_and_not_yet(
    database: Database, settings: Settings
) -> None:
    submit(database)
    assert broken_invariants(database, settings) == []
    assert [job.status for job in _jobs(database)] == ["queued"]


def _jobs(database: Database) -> list[Job]:
    with database.read() as session:
        return list(session.scalars(select(Job)))


def test_a_job_that_came_back_to_the_queue_has_time_to_be_rung_for(
    database: Database, settings: Settings
) -> None:
    job = submitted_long_ago(database)
    pause_job(database, job.id)
    resume_job(database, job.id)
    assert found(database, settings) == []
