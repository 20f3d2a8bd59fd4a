"""A checkpoint stays while another job has yet to begin with it, whatever its own job does."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, select

from store.database import Database
from store.deletion import delete_job, purge_deleted
from store.endings import finish, give_up_attempt
from store.errors import NotFound, Pinned, TransitionRefused
from store.expiry import expire_checkpoints
from store.invariants import broken_invariants
from store.jobs import insert_job
from store.lifecycle import cancel_job, retry_job
from store.ownership import Claim, resumable_checkpoints, start_from
from store.pins import jobs_waiting_for
from store.policies import succeed
from store.series import effective_evaluations
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Checkpoint, Job
from store.warm_start import with_source
from tests.store.acting import (
    attempts,
    change,
    checkpoint,
    claim,
    evaluate,
    events,
    reload,
    running,
    save,
    spec,
    submit,
)


@pytest.fixture
def source(database: Database, settings: Settings) -> Claim:
    """Under way, with one checkpoint."""
    claimed = running(database, settings)
    save(database, claimed, 100)
    return claimed


@pytest.fixture
def child(database: Database, source: Claim) -> Job:
    return submit(database, init_from={"job_id": source.job_id})


def begun(database: Database, settings: Settings, source: Claim) -> Claim:
    """The child, started."""
    claimed = claim(database, settings, "w2")
    start_from(database, claimed, None, checkpoint(database, source, 100))
    return claimed


def steps(database: Database, claimed: Claim) -> list[int]:
    query = (
        select(Checkpoint.step)
        .where(Checkpoint.job_number == claimed.job_number, Checkpoint.kind == "training")
        .order_by(Checkpoint.step)
    )
    with database.read() as session:
        return list(session.scalars(query))


def fail(database: Database, claimed: Claim) -> None:
    finish(database, claimed, JobStatus.FAILED, Reason.NON_FINITE)


def test_the_source_goes_on_and_keeps_it_beside_its_own(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    gone = [name for step in (200, 300, 400) for name in save(database, source, step)]
    assert gone == [f"{source.job_id}/1-200"], "its files stay, too"
    assert steps(database, source) == [100, 300, 400]
    mine = begun(database, settings, source)
    save(database, source, 500)
    assert 100 in steps(database, source), "the child has none of its own yet"
    save(database, mine, 50)
    assert f"{source.job_id}/1-100" in save(database, source, 600)
    assert steps(database, source) == [500, 600]
    assert broken_invariants(database, settings) == []


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_a_child_that_has_ended_lets_go(
    database: Database, settings: Settings, source: Claim, child: Job, how: str
) -> None:
    if how == "cancelled":
        cancel_job(database, child.id)
    else:
        fail(database, begun(database, settings, source))
    for step in (200, 300):
        save(database, source, step)
    assert steps(database, source) == [200, 300]


def test_a_branch_that_is_given_up_is_kept_for_others_alone(
    database: Database, settings: Settings, source: Claim
) -> None:
    """As when the newest checkpoint turned out to be corrupt."""
    save(database, source, 200)
    submit(database, init_from={"job_id": source.job_id}, priority=-1)
    give_up_attempt(database, settings, source, Reason.TRAINER_DIED, message=None, exit_code=-9)
    change(database, source, not_before=0)
    again = claim(database, settings)
    start_from(database, again, checkpoint(database, again, 100))
    assert steps(database, source) == [100, 200]
    with database.read() as session:
        assert [each.step for each in resumable_checkpoints(session, again)] == [100]
    for step in (150, 160):
        save(database, again, step)
    assert steps(database, source) == [150, 160, 200], "it does not count among those kept"


def ended(database: Database, source: Claim) -> None:
    succeed(database, source, weights_sha256="ab", step=1_000)
    change(database, source, finished_at=1)


def test_the_source_is_not_deleted_and_who_waits_is_named(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    ended(database, source)
    with pytest.raises(Pinned, match=f"{child.id} has yet to begin") as refusal:
        delete_job(database, source.job_id)
    assert refusal.value.details == {"jobs": [child.id]}
    assert reload(database, source).deleted_at is None
    save(database, begun(database, settings, source), 50)
    assert delete_job(database, source.job_id).deleted_at is not None


def test_the_source_does_not_expire(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    ended(database, source)
    soon = settings.model_copy(update={"checkpoint_ttl_seconds": 1.0})
    assert expire_checkpoints(database, soon) == []
    assert steps(database, source) == [100]
    cancel_job(database, child.id)
    assert expire_checkpoints(database, soon) == [source.job_id]


def test_a_retry_pins_a_deleted_source_that_is_not_purged_yet(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    cancel_job(database, child.id)
    ended(database, source)
    delete_job(database, source.job_id)
    retry_job(database, child.id)
    at_once = settings.model_copy(update={"deleted_kept_seconds": 0.0})
    assert purge_deleted(database, at_once) == []
    save(database, begun(database, settings, source), 50)
    assert purge_deleted(database, at_once) == [source.job_id]
    assert broken_invariants(database, settings) == []


def test_a_retry_without_anything_to_begin_with_is_refused(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    cancel_job(database, child.id)
    for step in (200, 300):
        save(database, source, step)
    with pytest.raises(TransitionRefused, match=r"is gone\. Clone it with another init_from"):
        retry_job(database, child.id)
    assert reload(database, child).status == JobStatus.CANCELLED


def test_a_retry_of_one_that_has_begun_needs_the_source_no_more(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    mine = begun(database, settings, source)
    save(database, mine, 50)
    fail(database, mine)
    for step in (200, 300):
        save(database, source, step)
    assert retry_job(database, child.id).status == JobStatus.QUEUED


def test_a_source_that_is_lost_is_found_by_the_doctor(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    with database.write() as session:
        session.execute(delete(Checkpoint))
    change(database, source, resume_checkpoint_id=None)
    (finding,) = broken_invariants(database, settings)
    assert (finding.invariant, finding.job_id) == ("I4", child.id)
    cancel_job(database, child.id)
    assert broken_invariants(database, settings) == []


def test_an_attempt_says_what_it_began_with(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    mine = begun(database, settings, source)
    (attempt,) = attempts(database, mine)
    of = checkpoint(database, source, 100).id
    assert (attempt.start_step, attempt.resumed_from) == (0, of)
    told = {"attempt": 1, "start_step": 0, "resumed_from": of, "job_id": source.job_id}
    assert events(database, mine)[-1][1:] == ("attempt", told)
    assert reload(database, mine).resume_checkpoint_id is None


def test_beginning_again_supersedes_all_of_the_attempt_before(
    database: Database, settings: Settings, source: Claim, child: Job
) -> None:
    """Also what was measured before the first step, which is measured again."""
    for worker in ("w1", "w2"):
        mine = claim(database, settings, worker)
        start_from(database, mine, None, checkpoint(database, source, 100))
        evaluate(database, mine, 0, -5.0)
        if worker == "w1":
            reason = Reason.TRAINER_DIED
            give_up_attempt(database, settings, mine, reason, message=None, exit_code=-9)
            change(database, mine, not_before=0)
    with database.read() as session:
        found = effective_evaluations(session, session.get_one(Job, child.number))
    assert [(each.attempt, each.step) for each in found] == [(2, 0)]


# ---- two at once, where more than one may write


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def beside(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begins it in a thread; call the result for what it returned or raised."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(work())
        except Exception as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> Any:
        thread.join(10)
        assert came, "it hangs"
        return came[0]

    return wait


@on_postgresql
def test_what_is_being_pinned_is_not_removed(
    database: Database, settings: Settings, source: Claim
) -> None:
    save(database, source, 200)
    asked = spec(init_from={"checkpoint_id": checkpoint(database, source, 100).id})
    with database.write() as session:
        (resolved,) = with_source(session, [asked], pin=True)
        assert save(database, source, 300) == [], "the other transaction is not over"
        insert_job(session, resolved)
    assert steps(database, source) == [100, 200, 300]


@on_postgresql
def test_what_is_being_removed_is_not_pinned(
    database: Database, settings: Settings, source: Claim
) -> None:
    identity = checkpoint(database, source, 100).id
    with database.write() as session:
        session.execute(delete(Checkpoint).where(Checkpoint.id == identity))
        came = beside(lambda: submit(database, init_from={"checkpoint_id": identity}))
        time.sleep(0.3)
    assert isinstance(came(), NotFound)


@on_postgresql
@pytest.mark.parametrize("removal", ["delete", "expire"])
def test_a_source_that_is_being_pinned_is_neither_deleted_nor_expired(
    database: Database, settings: Settings, source: Claim, removal: str
) -> None:
    ended(database, source)
    asked = spec(init_from={"job_id": source.job_id})
    soon = settings.model_copy(update={"checkpoint_ttl_seconds": 1.0})
    act: Callable[[], Any] = (
        (lambda: delete_job(database, source.job_id))
        if removal == "delete"
        else (lambda: expire_checkpoints(database, soon))
    )
    with database.write() as session:
        (resolved,) = with_source(session, [asked], pin=True)
        came = beside(act)
        time.sleep(0.3)
        insert_job(session, resolved)
    assert came() == [] if removal == "expire" else isinstance(came(), Pinned)
    assert steps(database, source) == [100]
    with database.read() as session:
        assert len(jobs_waiting_for(session, source.job_number)) == 1
