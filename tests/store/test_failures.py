"""Which failures are tried again, how often, and whose fault they are counted as."""

import pytest

from store.database import Database
from store.endings import finish, give_up_attempt
from store.failures import RETRIES, Fault, Retry, fault_of
from store.lifecycle import retry_job
from store.ownership import start_from
from store.results import record_peak_memory
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Job
from tests.store.acting import attempts, change, claim, clock, reload, running, save

BY_DESIGN = {
    Reason.BUDGET_EXHAUSTED,
    Reason.EPISODES_EXHAUSTED,
    Reason.SECONDS_EXHAUSTED,
    Reason.TARGET_REACHED,
    Reason.IMPORTED,
    Reason.CANCELLED_BY_USER,
    Reason.PAUSED_BY_USER,
    Reason.RESUMED_BY_USER,
    Reason.RETRIED_BY_USER,
    Reason.EXTENDED_BY_USER,
    Reason.DRAINED,
    Reason.CRASH_LOOP,  # of a job, never of an attempt
}


def fail(database: Database, settings: Settings, reason: Reason, times: int) -> Job:
    """The job that is first in the queue, so often or until it has failed."""
    claimed = running(database, settings)
    for number in range(times):
        if number:
            change(database, claimed, not_before=0)
            claimed = claim(database, settings)
            start_from(database, claimed, None)
        give_up_attempt(database, settings, claimed, reason, message="it broke", exit_code=1)
        if reload(database, claimed).status == JobStatus.FAILED:
            break
    return reload(database, claimed)


def test_every_failure_has_its_rule() -> None:
    assert set(RETRIES) == set(Reason) - BY_DESIGN


@pytest.mark.parametrize("reason", [r for r, retry in RETRIES.items() if retry == Retry.ONCE])
def test_too_little_memory_is_tried_once_more(
    database: Database, settings: Settings, reason: Reason
) -> None:
    job = fail(database, settings, reason, 1)
    assert (job.status, job.reason) == ("queued", reason)
    job = fail(database, settings, reason, 9)
    assert (job.status, job.reason, job.epoch) == ("failed", reason, 2)
    assert job.message is not None
    assert job.message.startswith("For the second time: it broke")


def test_a_retry_forgets_that_it_happened_before(database: Database, settings: Settings) -> None:
    job = fail(database, settings, Reason.HOST_OUT_OF_MEMORY, 9)
    retry_job(database, job.id)
    claimed = claim(database, settings)
    reason = Reason.HOST_OUT_OF_MEMORY
    give_up_attempt(database, settings, claimed, reason, message=None, exit_code=-9)
    assert reload(database, claimed).status == "queued"


def test_a_full_storage_is_waited_for_however_long(database: Database, settings: Settings) -> None:
    before = clock(database)
    job = fail(database, settings, Reason.STORAGE_FULL, 7)
    assert (job.status, job.reason, job.epoch) == ("queued", "storage_full", 7)
    assert job.attempts_since_progress == 0
    assert job.not_before >= before + settings.storage_wait_seconds * 1000
    assert job.infrastructure_failures == 7


def test_others_end_in_a_crash_loop(database: Database, settings: Settings) -> None:
    job = fail(database, settings, Reason.TRAINER_DIED, 9)
    most = settings.max_attempts_without_progress
    assert (job.status, job.reason, job.epoch) == ("failed", "crash_loop", most)


def test_failures_are_counted_by_whose_fault_they_are(
    database: Database, settings: Settings
) -> None:
    assert fault_of(Reason.WORKER_LOST) == Fault.INFRASTRUCTURE
    assert fault_of(Reason.NON_FINITE) == Fault.ERROR
    job = fail(database, settings, Reason.TRAINER_DIED, 2)
    change(database, job, not_before=0)
    claimed = claim(database, settings)
    finish(database, claimed, JobStatus.FAILED, Reason.NON_FINITE)
    job = reload(database, claimed)
    assert (job.infrastructure_failures, job.error_failures) == (2, 1)


def test_a_success_is_no_failure(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    save(database, claimed, 10)
    finish(database, claimed, JobStatus.CANCELLED, Reason.CANCELLED_BY_USER)
    job = reload(database, claimed)
    assert (job.infrastructure_failures, job.error_failures) == (0, 0)


def test_an_attempt_keeps_the_most_memory_it_had(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    record_peak_memory(database, claimed, 5 << 30)
    assert attempts(database, claimed)[0].peak_memory_bytes == 5 << 30
