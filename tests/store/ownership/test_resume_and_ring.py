"""Where an attempt starts, and whom the reconciler calls for."""

from store.bells import count_queued, jobs_to_ring, mark_rung
from store.database import Database
from store.lifecycle import cancel_job
from store.ownership import Claim, resumable_checkpoints, start_from
from store.settings import Settings
from tests.store.acting import (
    attempts,
    change,
    checkpoint,
    claim,
    clock,
    events,
    progress,
    release,
    reload,
    running,
    save,
    submit,
)

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
