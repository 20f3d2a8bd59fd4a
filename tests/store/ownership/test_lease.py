"""What becomes of a job whose owner dies, gives up or hands it back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from store.database import Database
from store.endings import finish, give_up_attempt, reap_expired
from store.lifecycle import cancel_job
from store.ownership import Wish, claim_next, renew, start_from
from store.settings import Settings
from store.states import Desired, JobStatus, Reason
from tests.store.acting import (
    attempts,
    change,
    checkpoint,
    claim,
    clock,
    evaluate,
    events,
    let_lease_expire,
    progress,
    release,
    reload,
    running,
    save,
    submit,
)

MakeSettings = Callable[..., Settings]


# ---- the lease


def test_renewing_extends_the_lease_and_tells_of_a_cancel(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    let_lease_expire(database, claimed)
    before = clock(database)
    assert renew(database, settings, claimed) == Wish()
    assert reload(database, claimed).lease_until >= before + 2000
    cancel_job(database, claimed.job_id, grace_seconds=7)
    told = Wish(desired=Desired.CANCEL, grace_seconds=7)
    assert renew(database, settings, claimed) == told


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


# ---- giving up, backing off, crash loops


def test_a_died_trainer_is_tried_again(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    reason = Reason.TRAINER_DIED
    give_up_attempt(database, settings, claimed, reason, message="killed", exit_code=-9)
    job = reload(database, claimed)
    told = "killed No checkpoint yet."
    assert (job.status, job.reason, job.message) == ("queued", "trainer_died", told)
    (attempt,) = attempts(database, claimed)
    assert (attempt.status, attempt.exit_code, attempt.message) == ("lost", -9, told)


def test_any_log_can_be_the_reason(database: Database, settings: Settings) -> None:
    """PostgreSQL takes no NUL in a text; the verdict must be written all the same."""
    claimed = running(database, settings)
    reason = Reason.TRAINER_DIED
    give_up_attempt(database, settings, claimed, reason, message="a\x00b", exit_code=1)
    assert reload(database, claimed).message == "a\ufffdb No checkpoint yet."
    change(database, claimed, not_before=0)
    again = claim(database, settings)
    finish(database, again, JobStatus.FAILED, Reason.NON_FINITE, message="\x00")
    assert reload(database, claimed).message == "\ufffd No checkpoint yet."


def test_a_failure_names_the_last_checkpoint(database: Database, settings: Settings) -> None:
    """Before the log, which may be long."""
    claimed = running(database, settings)
    save(database, claimed, 10)
    save(database, claimed, 20)
    evaluate(database, claimed, 30, 1.0)
    last = f"Last checkpoint: step 20 ({checkpoint(database, claimed, 20).id})."
    reason = Reason.TRAINER_DIED
    give_up_attempt(
        database, settings, claimed, reason, message="It died.", exit_code=1, log="log\n"
    )
    assert reload(database, claimed).message == f"It died. {last}\nlog\n"
    change(database, claimed, not_before=0)
    again = claim(database, settings)
    start_from(database, again, checkpoint(database, claimed, 20))
    let_lease_expire(database, again)
    reap_expired(database, settings)
    assert str(reload(database, claimed).message).endswith(last)
    change(database, claimed, not_before=0)
    final = claim(database, settings)
    finish(database, final, JobStatus.FAILED, Reason.NON_FINITE, message="NaN.")
    assert reload(database, claimed).message == f"NaN. {last}"
    assert attempts(database, claimed)[-1].message == f"NaN. {last}"


def test_the_last_checkpoint_comes_behind_a_message_of_several_lines(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    reason = Reason.INTERNAL_ERROR
    give_up_attempt(
        database, settings, claimed, reason, message="One.\nTwo.\n", exit_code=1, log="a\x00\nb"
    )
    assert reload(database, claimed).message == "One.\nTwo.\nNo checkpoint yet.\na\ufffd\nb"
    change(database, claimed, not_before=0)
    again = claim(database, settings)
    finish(database, again, JobStatus.FAILED, Reason.ENVIRONMENT_ERROR, message="One.\nTwo.")
    assert reload(database, claimed).message == "One.\nTwo.\nNo checkpoint yet."


def test_only_failures_speak_of_checkpoints(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    finish(database, claimed, JobStatus.CANCELLED, Reason.CANCELLED_BY_USER)
    assert reload(database, claimed).message is None
    other = running(database, settings)
    message = "None can be read."
    finish(database, other, JobStatus.FAILED, Reason.CHECKPOINT_CORRUPT, message=message)
    assert reload(database, other).message == message


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
