"""The protocol: who may write for a job, and what becomes of it when its owner dies."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from store.clock import now_ms
from store.database import Database
from store.errors import Fenced, TransitionRefused
from store.jobs import cancel_job, list_attempts
from store.ownership import (
    Claim,
    claim_next,
    count_queued,
    finish,
    give_up_attempt,
    jobs_to_ring,
    mark_rung,
    reap_expired,
    release,
    renew,
    resumable_checkpoints,
    start_from,
)
from store.policies import succeed
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Attempt, Checkpoint, Evaluation, Event, Job, MetricPoint, Policy
from tests.store.acting import (
    change,
    checkpoint,
    claim,
    evaluate,
    events,
    let_lease_expire,
    progress,
    reload,
    running,
    save,
    submit,
)

MakeSettings = Callable[..., Settings]


def attempts(database: Database, job: Job | Claim) -> list[Attempt]:
    number = job.number if isinstance(job, Job) else job.job_number
    with database.read() as session:
        return list(list_attempts(session, number))


def clock(database: Database) -> int:
    with database.read() as session:
        return session.execute(select(now_ms())).scalar_one()


# ---- claiming


def test_a_claim_takes_the_job_and_says_so(database: Database, settings: Settings) -> None:
    job = submit(database)
    before = clock(database)
    claimed = claim(database, settings)
    taken = reload(database, job)
    assert claimed == Claim(job_number=job.number, job_id=job.id, epoch=1, spec=job.spec)
    assert (taken.status, taken.epoch, taken.worker) == ("running", 1, "w1")
    assert before + 2000 <= taken.lease_until <= clock(database) + 2000
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


# ---- the lease


def test_renewing_extends_the_lease_and_tells_of_a_cancel(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    let_lease_expire(database, claimed)
    before = clock(database)
    assert renew(database, settings, claimed) is False
    assert reload(database, claimed).lease_until >= before + 2000
    cancel_job(database, claimed.job_id)
    assert renew(database, settings, claimed) is True


def test_a_job_whose_lease_holds_is_left_alone(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    assert reap_expired(database, settings) == 0
    assert reload(database, claimed).status == "running"


def test_a_dead_owner_loses_the_job(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    progress(database, claimed, 70)
    let_lease_expire(database, claimed)
    before = clock(database)
    assert reap_expired(database, settings) == 1
    job = reload(database, claimed)
    assert (job.status, job.reason, job.worker, job.epoch) == ("queued", "worker_lost", None, 1)
    assert job.not_before >= before + 100, "0.1 s of backoff"
    assert job.dispatched_at == 0, "so that it is rung for again at once"
    (attempt,) = attempts(database, claimed)
    assert (attempt.status, attempt.reason, attempt.end_step) == ("lost", "worker_lost", 70)
    assert attempt.finished_at is not None
    assert "The lease of w1 ran out" in str(job.message)
    assert reap_expired(database, settings) == 0


def test_a_reaped_job_that_was_being_cancelled_is_cancelled(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    cancel_job(database, claimed.job_id)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    job = reload(database, claimed)
    assert (job.status, job.reason) == ("cancelled", "cancelled_by_user")
    assert job.finished_at is not None
    assert claim_next(database, settings, "w2", "host1") is None


def test_several_reapers_take_each_job_once(database: Database, settings: Settings) -> None:
    for _ in range(6):
        submit(database)
    claims = [claim(database, settings) for _ in range(6)]
    for claimed in claims:
        let_lease_expire(database, claimed)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: reap_expired(database, settings), range(4)))
    assert sum(counts) == 6
    for claimed in claims:
        kinds = [kind for _, kind, data in events(database, claimed) if data["status"] == "queued"]
        assert len(kinds) == 2, "once submitted, once reaped"


# ---- fencing

Act = Callable[[Database, Settings, Claim], object]

WRITES: dict[str, Act] = {
    "record_progress": lambda d, _, c: progress(d, c, 500, loss=1.0),
    "record_evaluation": lambda d, _, c: evaluate(d, c, 500, 1.0),
    "record_training_checkpoint": lambda d, _, c: save(d, c, 500),
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


# ---- giving up, backing off, crash loops


def test_a_died_trainer_is_tried_again(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    reason = Reason.TRAINER_DIED
    give_up_attempt(database, settings, claimed, reason, message="killed", exit_code=-9)
    job = reload(database, claimed)
    assert (job.status, job.reason, job.message) == ("queued", "trainer_died", "killed")
    (attempt,) = attempts(database, claimed)
    assert (attempt.status, attempt.exit_code, attempt.message) == ("lost", -9, "killed")


def test_any_log_can_be_the_reason(database: Database, settings: Settings) -> None:
    """PostgreSQL takes no NUL in a text; the verdict must be written all the same."""
    claimed = running(database, settings)
    reason = Reason.TRAINER_DIED
    give_up_attempt(database, settings, claimed, reason, message="a\x00b", exit_code=1)
    assert reload(database, claimed).message == "a\ufffdb"
    change(database, claimed, not_before=0)
    again = claim(database, settings)
    finish(database, again, JobStatus.FAILED, Reason.NON_FINITE, message="\x00")
    assert reload(database, claimed).message == "\ufffd"


def test_the_third_attempt_without_a_checkpoint_is_the_last(
    database: Database, settings: Settings
) -> None:
    job = submit(database)
    for _ in range(2):
        claimed = claim(database, settings)
        let_lease_expire(database, claimed)
        reap_expired(database, settings)
        assert reload(database, job).status == "queued"
        change(database, job, not_before=0)
    claimed = claim(database, settings)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    ended = reload(database, job)
    assert (ended.status, ended.reason) == ("failed", "crash_loop")
    assert ended.finished_at is not None
    assert str(ended.message).startswith("3 attempts ended without a newer checkpoint")
    assert [a.status for a in attempts(database, job)] == ["lost", "lost", "lost"]


def test_a_newer_checkpoint_starts_the_count_anew(database: Database, settings: Settings) -> None:
    job = submit(database)
    for step in (100, 200, 300, 400):
        claimed = claim(database, settings)
        start_from(database, claimed, None)
        save(database, claimed, step)
        let_lease_expire(database, claimed)
        reap_expired(database, settings)
        change(database, job, not_before=0)
    assert reload(database, job).status == "queued"


def test_a_checkpoint_where_the_attempt_started_is_no_progress(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    save(database, claimed, 100)
    for _ in range(3):
        let_lease_expire(database, claimed)
        reap_expired(database, settings)
        change(database, claimed, not_before=0)
        claimed = claim(database, settings)
        start_from(database, claimed, checkpoint(database, claimed, 100))
        save(database, claimed, 100)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    assert reload(database, claimed).reason == "crash_loop"


BACKOFFS = [  # attempts since progress, seconds; 5 s doubled each time
    (0, 5),  # after progress, as after the first
    (1, 5),
    (2, 10),
    (3, 20),
    (6, 160),
    (7, 300),  # 320, but for the cap
    (5000, 300),
]


def test_the_backoff_doubles_up_to_five_minutes(
    database: Database, make_settings: MakeSettings
) -> None:
    settings = make_settings(backoff_seconds=5.0, max_attempts_without_progress=10_000)
    for failures, seconds in BACKOFFS:
        claimed = running(database, settings)
        change(database, claimed, attempts_since_progress=failures)
        before = clock(database)
        reason = Reason.TRAINER_DIED
        give_up_attempt(database, settings, claimed, reason, message=None, exit_code=None)
        not_before = reload(database, claimed).not_before
        assert before + seconds * 1000 <= not_before <= clock(database) + seconds * 1000


# ---- releasing


def test_a_released_job_is_next_in_line_and_not_charged(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    change(database, claimed, dispatched_at=clock(database))
    release(database, claimed)
    job = reload(database, claimed)
    assert (job.status, job.reason, job.attempts_since_progress) == ("queued", "drained", 0)
    assert (job.lease_until, job.not_before, job.dispatched_at) == (0, 0, 0)
    assert [a.status for a in attempts(database, job)] == ["released"]


def test_a_release_after_progress_is_no_credit(database: Database, settings: Settings) -> None:
    """Else every clean shutdown would allow one more crash."""
    claimed = running(database, settings)
    save(database, claimed, 100)
    release(database, claimed)
    assert reload(database, claimed).attempts_since_progress == 0


def test_releases_do_not_forgive_crashes(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    for _ in range(2):
        let_lease_expire(database, claimed)
        reap_expired(database, settings)
        change(database, claimed, not_before=0)
        claimed = claim(database, settings)
        release(database, claimed)
        claimed = claim(database, settings)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    assert reload(database, claimed).reason == "crash_loop"


def test_a_released_job_that_was_being_cancelled_is_cancelled(
    database: Database, settings: Settings
) -> None:
    """The user cannot ask twice, and there may be no worker left to look."""
    claimed = running(database, settings)
    cancel_job(database, claimed.job_id)
    release(database, claimed)
    job = reload(database, claimed)
    assert (job.status, job.reason) == ("cancelled", "cancelled_by_user")
    assert job.finished_at is not None
    assert events(database, job)[-1][2]["status"] == "cancelled"


# ---- resuming


def test_an_attempt_says_where_it_starts(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    save(database, claimed, 100)
    progress(database, claimed, 150)
    release(database, claimed)
    again = claim(database, settings)
    found = checkpoint(database, again, 100)
    start_from(database, again, found)
    assert reload(database, again).step == 100
    assert [(a.start_step, a.resumed_from) for a in attempts(database, again)] == [
        (0, None),
        (100, found.id),
    ]
    data = {"attempt": 2, "start_step": 100, "resumed_from": found.id}
    assert events(database, again)[-1][1:] == ("attempt", data)


def test_the_newest_branch_is_resumed(database: Database, settings: Settings) -> None:
    """Attempt 2 found checkpoint 200 corrupt and went back to 100: 200 is given up for good."""
    claimed = running(database, settings)
    for step in (100, 200):
        save(database, claimed, step)
    release(database, claimed)
    second = claim(database, settings)
    start_from(database, second, checkpoint(database, second, 100))
    assert resumable(database, second) == [(1, 100)]
    save(database, second, 150)
    release(database, second)
    assert resumable(database, second) == [(2, 150), (1, 100)]


def test_newest_first(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    for step in (100, 200):
        save(database, claimed, step)
    assert resumable(database, claimed) == [(1, 200), (1, 100)]


def resumable(database: Database, claimed: Claim) -> list[tuple[int, int]]:
    with database.read() as session:
        return [(c.attempt, c.step) for c in resumable_checkpoints(session, claimed)]


# ---- ringing


def due(database: Database, settings: Settings) -> list[int]:
    return [job.number for job in jobs_to_ring(database, settings)]


def test_a_new_job_is_rung_for_once_and_again_when_nobody_came(
    database: Database, settings: Settings
) -> None:
    job = submit(database)
    assert due(database, settings) == [job.number]
    mark_rung(database, job)
    assert due(database, settings) == []
    change(database, job, dispatched_at=clock(database) - 1001)
    assert due(database, settings) == [job.number]


def test_only_jobs_that_could_run_now_are_rung_for(database: Database, settings: Settings) -> None:
    taken, waits, urgent, later, gone = (submit(database) for _ in range(5))
    change(database, urgent, priority=1)
    claimed = claim(database, settings)
    assert claimed.job_id == urgent.id
    release(database, claimed)
    change(database, taken, status="running")
    change(database, later, not_before=clock(database) + 60_000)
    cancel_job(database, gone.id)
    assert due(database, settings) == [urgent.number, waits.number]
    assert count_queued(database) == 3
    assert len(jobs_to_ring(database, settings, limit=1)) == 1


def test_a_claimed_job_is_not_marked(database: Database, settings: Settings) -> None:
    """Released the next moment, it must be rung for at once."""
    job = submit(database)
    claimed = claim(database, settings)
    mark_rung(database, job)
    release(database, claimed)
    assert due(database, settings) == [job.number]


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
