"""Who has lost a job writes nothing."""

from collections.abc import Callable
from threading import Thread

import pytest
from sqlalchemy import func, select

from store.database import Database
from store.endings import finish, give_up_attempt, reap_expired
from store.errors import Fenced, TransitionRefused
from store.lifecycle import cancel_job
from store.ownership import Claim, claim_next, renew, start_from
from store.policies import succeed
from store.results import record_warning
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Attempt, Checkpoint, Evaluation, Event, Job, MetricPoint, Policy
from tests.store.acting import (
    change,
    claim,
    evaluate,
    let_lease_expire,
    progress,
    release,
    running,
    save,
)

Act = Callable[[Database, Settings, Claim], object]

WRITES: dict[str, Act] = {
    "record_progress": lambda d, _, c: progress(d, c, 500, loss=1.0),
    "record_evaluation": lambda d, _, c: evaluate(d, c, 500, 1.0),
    "record_training_checkpoint": lambda d, _, c: save(d, c, 500),
    "record_warning": lambda d, _, c: record_warning(d, c, "something"),
    "start_from": lambda d, _, c: start_from(d, c, None),
    "renew": renew,
    "finish": lambda d, _, c: finish(d, c, JobStatus.FAILED, Reason.NON_FINITE),
    "release": lambda d, _, c: release(d, c),
    "give_up_attempt": lambda d, s, c: give_up_attempt(
        d, s, c, Reason.TRAINER_DIED, message=None, exit_code=-9
    ),
    "succeed": lambda d, _, c: succeed(d, c, weights_sha256=None),
}


def reaped(database: Database, settings: Settings, claimed: Claim) -> None:
    let_lease_expire(database, claimed)
    reap_expired(database, settings)


def claimed_by_another(database: Database, settings: Settings, claimed: Claim) -> None:
    reaped(database, settings, claimed)
    change(database, claimed, not_before=0)
    claim(database, settings, "w2")


def ended_by_another(database: Database, settings: Settings, claimed: Claim) -> None:
    reaped(database, settings, claimed)
    change(database, claimed, not_before=0)
    succeed(database, claim(database, settings, "w2"), weights_sha256=None)


def cancelled(database: Database, settings: Settings, claimed: Claim) -> None:
    cancel_job(database, claimed.job_id)
    reaped(database, settings, claimed)


def everything(database: Database) -> list[list[str]]:
    """All rows that a job's owner may write."""
    tables = (Job, Attempt, Event, MetricPoint, Evaluation, Checkpoint, Policy)
    with database.read() as session:
        return [
            sorted(map(repr, session.execute(select(*table.__table__.columns)).all()))
            for table in tables
        ]


@pytest.mark.parametrize("lose", [reaped, claimed_by_another, ended_by_another, cancelled])
def test_who_has_lost_a_job_writes_nothing(
    database: Database, settings: Settings, lose: Act
) -> None:
    claimed = running(database, settings)
    evaluate(database, claimed, 100, 5.0)
    save(database, claimed, 100)
    lose(database, settings, claimed)
    before = everything(database)
    for name, write in WRITES.items():
        with pytest.raises(Fenced, match=f"{claimed.job_id} no longer belongs to epoch 1"):
            write(database, settings, claimed)
        assert everything(database) == before, name


def test_who_owns_a_job_may(database: Database, settings: Settings) -> None:
    """So that the test above cannot pass because a write is never allowed."""
    for name, write in WRITES.items():
        claimed = running(database, settings)
        before = everything(database)
        write(database, settings, claimed)
        assert everything(database) != before, name
        change(database, claimed, status="failed")


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_an_ended_job_never_changes(database: Database, settings: Settings, status: str) -> None:
    claimed = running(database, settings)
    finish(database, claimed, JobStatus(status), Reason.INTERNAL_ERROR)
    let_lease_expire(database, claimed)
    before = everything(database)
    for name, write in WRITES.items():
        with pytest.raises(Fenced):
            write(database, settings, claimed)
        assert everything(database) == before, name
    with pytest.raises(TransitionRefused, match=f"is {status}"):
        cancel_job(database, claimed.job_id)
    assert reap_expired(database, settings) == 0
    assert claim_next(database, settings, "w2", "host1") is None
    assert everything(database) == before


def test_the_zombies_race_with_its_successor_is_lost(
    database: Database, settings: Settings
) -> None:
    """Both write as fast as they can; nothing of epoch 1 comes after the first of epoch 2."""
    zombie = running(database, settings)
    fenced = []

    def write_on() -> None:
        step = 0
        try:
            while True:
                step += 1
                progress(database, zombie, step, loss=1.0)
        except Fenced:
            fenced.append(step)

    thread = Thread(target=write_on)
    thread.start()
    let_lease_expire(database, zombie)
    while reap_expired(database, settings) == 0:
        let_lease_expire(database, zombie)
    change(database, zombie, not_before=0)
    successor = claim(database, settings, "w2")
    at_claim = newest_point(database, zombie)
    for step in range(1, 6):
        progress(database, successor, step, loss=2.0)
    thread.join()
    assert fenced == [at_claim + 1]
    assert newest_point(database, zombie) == at_claim


def newest_point(database: Database, claimed: Claim) -> int:
    query = select(func.coalesce(func.max(MetricPoint.step), 0)).where(
        MetricPoint.job_number == claimed.job_number, MetricPoint.attempt == claimed.epoch
    )
    with database.read() as session:
        return session.execute(query).scalar_one()
