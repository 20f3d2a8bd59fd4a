"""What users may do to a job, in each of its phases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from store.database import Database
from store.endings import give_up_attempt, hand_back, reap_expired
from store.errors import NotFound, TransitionRefused
from store.extension import extend_job
from store.lifecycle import (
    TRANSITIONS,
    Action,
    Phase,
    allowed_actions,
    cancel_job,
    pause_job,
    phase_of,
    resume_job,
    retry_job,
)
from store.ownership import Claim, claim_next, renew
from store.settings import Settings
from store.states import Desired, Reason
from store.tables import Job
from tests.store.acting import (
    attempts,
    change,
    claim,
    events,
    let_lease_expire,
    reload,
    running,
    save,
    submit,
    succeeded,
)

LONGER = 2_000
Act = Callable[[Database, Settings, str], Job]
ACTS: dict[Action, Act] = {
    Action.CANCEL: lambda d, _, job: cancel_job(d, job),
    Action.PAUSE: lambda d, _, job: pause_job(d, job),
    Action.RESUME: lambda d, _, job: resume_job(d, job),
    Action.RETRY: lambda d, _, job: retry_job(d, job),
    Action.EXTEND: lambda d, s, job: extend_job(d, s, job, {"total_steps": LONGER}),
}


def _running(database: Database, settings: Settings) -> str:
    return running(database, settings).job_id


def _pausing(database: Database, settings: Settings) -> str:
    return pause_job(database, _running(database, settings)).id


def _cancelling(database: Database, settings: Settings) -> str:
    return cancel_job(database, _running(database, settings)).id


def _failed(database: Database, settings: Settings) -> str:
    claimed = running(database, settings)
    change(database, claimed, attempts_since_progress=settings.max_attempts_without_progress)
    give_up_attempt(
        database, settings, claimed, Reason.TRAINER_DIED, message="killed", exit_code=-9
    )
    return claimed.job_id


REACH: dict[Phase, Callable[[Database, Settings], str]] = {
    Phase.QUEUED: lambda d, _: submit(d).id,
    Phase.RUNNING: _running,
    Phase.PAUSING: _pausing,
    Phase.CANCELLING: _cancelling,
    Phase.PAUSED: lambda d, _: pause_job(d, submit(d).id).id,
    Phase.SUCCEEDED: lambda d, s: succeeded(d, s).job_id,
    Phase.FAILED: _failed,
    Phase.CANCELLED: lambda d, _: cancel_job(d, submit(d).id).id,
}


def everything(job: Job) -> dict[str, Any]:
    return {column.name: getattr(job, column.name) for column in Job.__table__.columns}


def found(database: Database, job_id: str) -> Job:
    return reload(database, Claim(job_number=0, job_id=job_id, epoch=0, spec={}))


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("action", Action)
def test_every_action_in_every_phase(
    database: Database, settings: Settings, action: Action, phase: Phase
) -> None:
    """The whole table: what is in it happens, what is not changes nothing."""
    job_id = REACH[phase](database, settings)
    before = found(database, job_id)
    assert phase_of(before) == phase
    told = len(events(database, before))
    to = TRANSITIONS[action].get(phase)
    if to is None:
        with pytest.raises(TransitionRefused, match=f"is {phase}; {action} is for jobs that are"):
            ACTS[action](database, settings, job_id)
        assert everything(found(database, job_id)) == everything(before)
        assert len(events(database, before)) == told
        return
    answered = ACTS[action](database, settings, job_id)
    after = found(database, job_id)
    assert everything(answered) == everything(after)
    assert phase_of(after) == to
    changed = to != phase or action is Action.EXTEND
    assert (action in allowed_actions(before)) == changed
    assert (len(events(database, before)) > told) == changed


@pytest.mark.parametrize("act", [pause_job, resume_job, retry_job, cancel_job])
def test_a_job_that_is_not_there(database: Database, act: Callable[..., Job]) -> None:
    for wrong in ("job_none", "a\x00b"):
        with pytest.raises(NotFound):
            act(database, wrong)


def test_the_refusal_says_what_to_do_instead(database: Database, settings: Settings) -> None:
    done = succeeded(database, settings).job_id
    with pytest.raises(TransitionRefused, match=r"Extend its budget instead\.$"):
        resume_job(database, done)


# ---- cancelling


def test_a_waiting_job_is_cancelled_at_once(database: Database, settings: Settings) -> None:
    job = submit(database)
    cancelled = cancel_job(database, job.id)
    assert (cancelled.status, cancelled.reason) == ("cancelled", "cancelled_by_user")
    assert cancelled.finished_at is not None
    assert claim_next(database, settings, "w1", "host1") is None


def test_a_running_job_is_told_to_end_and_ends(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    assert cancel_job(database, claimed.job_id).status == "running"
    assert events(database, claimed)[-1][1:] == ("request", {"action": "cancel"})
    hand_back(database, claimed, Reason.DRAINED)
    job = reload(database, claimed)
    assert (job.status, job.reason) == ("cancelled", "cancelled_by_user")
    assert [a.status for a in attempts(database, claimed)] == ["cancelled"]


def test_asking_again_may_shorten_the_grace_and_never_lengthen_it(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    graces = [
        cancel_job(database, claimed.job_id, grace_seconds=asked).grace_seconds
        for asked in (600.0, None, 600.0, 20.0, None, 0.0)
    ]
    assert graces == [600.0, 60.0, 60.0, 20.0, 20.0, 0.0]
    assert renew(database, settings, claimed).grace_seconds == 0.0
    assert [kind for _, kind, _ in events(database, claimed)].count("request") == 1


def test_a_cancel_outlives_the_owner(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    cancel_job(database, claimed.job_id)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    assert reload(database, claimed).status == "cancelled"


def test_a_cancel_wins_over_a_pause(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    pause_job(database, claimed.job_id)
    cancel_job(database, claimed.job_id)
    with pytest.raises(TransitionRefused, match="is cancelling; pause"):
        pause_job(database, claimed.job_id)
    hand_back(database, claimed, Reason.DRAINED)
    assert reload(database, claimed).status == "cancelled"


def test_of_many_cancels_at_once_one_ends_the_job(database: Database) -> None:
    job = submit(database)

    def ask(_: int) -> bool:
        try:
            cancel_job(database, job.id)
        except TransitionRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1
    assert [seq for seq, _, _ in events(database, job)] == [1, 2]


@pytest.mark.parametrize(
    ("act", "at_rest", "asked"),
    [(cancel_job, "cancelled", "cancelling"), (pause_job, "paused", "pausing")],
)
def test_a_request_and_a_claim_at_once_agree(
    database: Database, settings: Settings, act: Callable[..., Job], at_rest: str, asked: str
) -> None:
    """Either it never ran, or its owner is told: never a job at rest that has an owner."""
    for _ in range(6):
        job = submit(database)
        actions: list[Callable[[], Any]] = [
            partial(act, database, job.id),
            lambda: claim_next(database, settings, "w1", "host1"),
        ]
        with ThreadPoolExecutor(2) as pool:
            _, claimed = pool.map(lambda act: act(), actions)
        after = reload(database, job)
        if claimed is None:
            assert (phase_of(after), after.epoch) == (at_rest, 0)
        else:
            assert phase_of(after) == asked
        change(database, job, status="failed")


# ---- pausing and resuming


def test_a_paused_job_is_nobodys_until_it_is_resumed(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    save(database, claimed, 300)
    pause_job(database, claimed.job_id)
    assert renew(database, settings, claimed).desired == Desired.PAUSE
    hand_back(database, claimed, Reason.DRAINED)
    paused = reload(database, claimed)
    assert (paused.status, paused.reason, paused.finished_at) == ("paused", "paused_by_user", None)
    assert [a.status for a in attempts(database, claimed)] == ["paused"]
    assert claim_next(database, settings, "w2", "host1") is None

    resumed = resume_job(database, claimed.job_id)
    assert (resumed.status, resumed.reason) == ("queued", "resumed_by_user")
    assert claim(database, settings, "w2").epoch == 2


def test_a_pause_is_not_charged(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    assert reload(database, claimed).attempts_since_progress == 1
    pause_job(database, claimed.job_id)
    hand_back(database, claimed, Reason.DRAINED)
    assert reload(database, claimed).attempts_since_progress == 0


def test_a_pause_that_is_withdrawn_too_late_queues_the_job(
    database: Database, settings: Settings
) -> None:
    """The trainer was told to stop already: what the user wants by then decides."""
    claimed = running(database, settings)
    pause_job(database, claimed.job_id)
    resume_job(database, claimed.job_id)
    assert renew(database, settings, claimed).desired == Desired.RUN
    hand_back(database, claimed, Reason.RESUMED_BY_USER)
    job = reload(database, claimed)
    assert (job.status, job.reason) == ("queued", "resumed_by_user")


@pytest.mark.parametrize("how", ["reaped", "given up"])
def test_a_worker_that_dies_on_the_way_to_a_pause_leaves_the_job_paused(
    database: Database, settings: Settings, how: str
) -> None:
    claimed = running(database, settings)
    pause_job(database, claimed.job_id)
    if how == "reaped":
        let_lease_expire(database, claimed)
        reap_expired(database, settings)
    else:
        give_up_attempt(
            database, settings, claimed, Reason.TRAINER_DIED, message=None, exit_code=-9
        )
    job = reload(database, claimed)
    assert (job.status, job.desired, job.finished_at) == ("paused", "run", None)
    assert [a.status for a in attempts(database, claimed)] == ["lost"]
    assert resume_job(database, claimed.job_id).status == "queued"


# ---- retrying and extending


def test_a_retried_job_goes_on_from_its_checkpoint_with_nothing_counted_against_it(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    save(database, claimed, 300)
    change(database, claimed, attempts_since_progress=settings.max_attempts_without_progress)
    give_up_attempt(
        database, settings, claimed, Reason.TRAINER_DIED, message="killed", exit_code=-9
    )
    kept = reload(database, claimed).resume_checkpoint_id
    job = retry_job(database, claimed.job_id)
    assert (job.status, job.reason, job.message) == ("queued", "retried_by_user", None)
    assert (job.finished_at, job.attempts_since_progress) == (None, 0)
    assert job.resume_checkpoint_id == kept is not None
    assert claim(database, settings).epoch == 2


def test_an_attempt_of_before_cannot_touch_a_retried_job(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    cancel_job(database, claimed.job_id)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    retry_job(database, claimed.job_id)
    second = claim(database, settings, "w2")
    with pytest.raises(Exception, match="no longer belongs to epoch 1"):
        renew(database, settings, claimed)
    assert renew(database, settings, second).desired == Desired.RUN
