"""Deleting: the mark, the way back, the purge; policies; checkpoints that expire."""

from typing import Any

import pytest
from sqlalchemy import func, select

from store.database import Database
from store.deletion import delete_job, purge_deleted, restore_job
from store.endings import finish
from store.errors import NotFound, Pinned, TransitionRefused
from store.events import read_events
from store.expiry import expire_checkpoints
from store.groups import get_group, list_groups, submit_group
from store.invariants import broken_invariants
from store.jobs import JobFilter, count_jobs_by_status, get_job, list_jobs
from store.lifecycle import Action, allowed_actions, cancel_job, pause_job, retry_job
from store.ownership import Claim, resumable_checkpoints
from store.policies import delete_policy, find_policy, promote_checkpoint, succeed
from store.revision import revise_job
from store.seeds import JobRequest
from store.settings import Settings
from store.states import JobStatus, Reason
from store.tables import Job, Policy, Table
from tests.store.acting import (
    BODY,
    change,
    claim,
    clock,
    evaluate,
    progress,
    release,
    running,
    save,
    submit,
    succeeded,
)

AT_ONCE = {"deleted_kept_seconds": 0.0}


def soon(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


def rows(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {
            table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in Table.metadata.sorted_tables
        }


def with_everything(database: Database, settings: Settings, **changes: Any) -> Claim:
    """A job that has failed and left a row of every kind."""
    claimed = running(database, settings, **changes)
    progress(database, claimed, 100, **{"loss/value": 1.0})
    evaluate(database, claimed, 200, -3.0)
    save(database, claimed, 200)
    finish(database, claimed, JobStatus.FAILED, Reason.NON_FINITE, message="NaN", exit_code=1)
    return claimed


def test_a_deleted_job_is_nowhere_and_can_come_back(database: Database, settings: Settings) -> None:
    claimed, other = with_everything(database, settings), submit(database)
    deleted = delete_job(database, claimed.job_id)
    assert deleted.deleted_at is not None
    with database.read() as session:
        with pytest.raises(NotFound):
            get_job(session, claimed.job_id)
        found, _ = list_jobs(session, JobFilter(), limit=10, cursor=None)
        assert [job.id for job in found] == [other.id]
        assert count_jobs_by_status(session) == {"queued": 1}
    for act in (cancel_job, retry_job, delete_job):
        with pytest.raises(NotFound):
            act(database, claimed.job_id)
    with pytest.raises(NotFound):
        revise_job(database, claimed.job_id, {"priority": 1})
    before = rows(database)
    assert restore_job(database, claimed.job_id).deleted_at is None
    assert rows(database) == {**before, "events": before["events"] + 1}
    with database.read() as session:
        events = read_events(session, claimed.job_number)
        assert [event.type for event in events][-2:] == ["deleted", "restored"]
        assert get_job(session, claimed.job_id).status == "failed"


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
def test_a_job_that_may_still_run_is_not_deleted(
    database: Database, settings: Settings, status: str
) -> None:
    job = submit(database)
    if status == "running":
        claim(database, settings)
    elif status == "paused":
        pause_job(database, job.id)
    with pytest.raises(TransitionRefused, match=f"is {status}.*Cancel it first"):
        delete_job(database, job.id)


def test_what_was_not_deleted_is_not_restored(database: Database) -> None:
    for job_id in (submit(database).id, "job_none", "\x00"):
        with pytest.raises(NotFound):
            restore_job(database, job_id)


def test_a_purge_removes_every_row_of_it_and_none_of_others(
    database: Database, settings: Settings
) -> None:
    with_everything(database, settings)
    kept = rows(database)
    gone = with_everything(database, settings)
    delete_job(database, gone.job_id)
    assert purge_deleted(database, settings) == [], "not before its days are over"
    assert purge_deleted(database, soon(settings, **AT_ONCE)) == [gone.job_id]
    assert rows(database) == kept
    with pytest.raises(NotFound):
        restore_job(database, gone.job_id)
    assert broken_invariants(database, settings) == []


def test_a_key_of_a_purged_job_is_free_again(database: Database, settings: Settings) -> None:
    specs = JobRequest.model_validate(BODY | {"seeds": [0, 1]}).specs()
    group, _ = submit_group(database, "a", specs, idempotency_key="k")
    with database.read() as session:
        jobs, _ = list_jobs(session, JobFilter(group_id=group.id), limit=10, cursor=None)
    for job in jobs:
        cancel_job(database, job.id)
        delete_job(database, job.id)
    with database.read() as session:
        assert list_groups(session, limit=10, cursor=None) == ([], None)
        with pytest.raises(NotFound):
            get_group(session, group.id)
    assert len(purge_deleted(database, soon(settings, **AT_ONCE))) == 2
    assert rows(database)["job_groups"] == rows(database)["idempotency"] == 0
    assert submit_group(database, "a", specs, idempotency_key="k")[1]


def test_a_served_policy_pins_its_job(database: Database, settings: Settings) -> None:
    claimed = running(database, settings, name="pen")
    evaluate(database, claimed, 500, 1.0)
    succeed(database, claimed, weights_sha256="a", step=1_000)
    with pytest.raises(Pinned, match=r"pen:1 was promoted from") as refusal:
        delete_job(database, claimed.job_id)
    assert refusal.value.details == {"policies": ["pen:1"]}
    with database.read() as session:
        find_policy(session, "pen:1")
    delete_job(database, claimed.job_id, with_policies=True)
    with database.read() as session, pytest.raises(NotFound):
        find_policy(session, "pen:1")
    assert purge_deleted(database, soon(settings, **AT_ONCE)) == [claimed.job_id]
    assert rows(database)["checkpoints"] == 0


def test_what_was_promoted_after_the_mark_is_not_purged(
    database: Database, settings: Settings
) -> None:
    """The foreign key holds, whoever comes first."""
    claimed = with_everything(database, settings)
    with database.read() as session:
        checkpoint = get_job(session, claimed.job_id).best_checkpoint_id
    assert checkpoint is not None
    delete_job(database, claimed.job_id)
    with pytest.raises(NotFound):
        promote_checkpoint(database, checkpoint, None)
    change(database, claimed, deleted_at=None)
    promote_checkpoint(database, checkpoint, None)
    change(database, claimed, deleted_at=1)
    before = rows(database)
    assert purge_deleted(database, soon(settings, **AT_ONCE)) == []
    assert rows(database) == before


def test_the_number_of_a_deleted_version_never_returns(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings, name="pen")
    checkpoint = evaluate(database, claimed, 500, 1.0)
    versions = [promote_checkpoint(database, checkpoint, "champion").version for _ in range(2)]
    assert versions == [1, 2]
    assert delete_policy(database, "champion").version == 2
    with database.read() as session:
        assert find_policy(session, "champion").version == 1
        events = read_events(session, claimed.job_number)
    assert events[-1].type == "policy_deleted"
    assert promote_checkpoint(database, checkpoint, "champion").version == 3
    with pytest.raises(NotFound):
        delete_policy(database, "champion:2")
    with database.read() as session:
        assert session.scalars(select(Policy.version).order_by(Policy.version)).all() == [1, 3]


def ended_long_ago(database: Database, settings: Settings, **changes: Any) -> Claim:
    claimed = with_everything(database, settings, **changes)
    change(database, claimed, finished_at=1)
    return claimed


def test_checkpoints_expire_after_the_service_s_time_and_policies_stay(
    database: Database, settings: Settings
) -> None:
    claimed = ended_long_ago(database, settings)
    assert expire_checkpoints(database, settings) == [], "by default they are kept"
    limited = soon(settings, checkpoint_ttl_seconds=3600.0)
    fresh = with_everything(database, settings)
    assert expire_checkpoints(database, limited) == [claimed.job_id]
    assert expire_checkpoints(database, limited) == []
    assert resumable_checkpoints_of(database, claimed) == 0
    assert resumable_checkpoints_of(database, fresh) == 1
    with database.read() as session:
        job = get_job(session, claimed.job_id)
    assert (job.resume_checkpoint_id, job.best_checkpoint_id is None) == (None, False)
    assert job.expired_at is not None
    assert broken_invariants(database, settings) == []


def resumable_checkpoints_of(database: Database, claimed: Claim) -> int:
    with database.read() as session:
        return len(resumable_checkpoints(session, claimed))


@pytest.mark.parametrize(("own", "expires"), [(60.0, True), (0.0, False), (7_200.0, False)])
def test_a_job_s_own_time_goes_before_the_service_s(
    database: Database, settings: Settings, own: float, expires: bool
) -> None:
    claimed = with_everything(database, settings, checkpointing={"ttl_seconds": own})
    change(database, claimed, finished_at=clock(database) - 3_600_000)
    limited = soon(settings, checkpoint_ttl_seconds=1.0)
    assert expire_checkpoints(database, limited) == ([claimed.job_id] if expires else [])


def test_an_expired_job_never_begins_again_in_silence(
    database: Database, settings: Settings
) -> None:
    claimed = ended_long_ago(database, settings)
    expire_checkpoints(database, soon(settings, checkpoint_ttl_seconds=1.0))
    with database.read() as session:
        assert allowed_actions(get_job(session, claimed.job_id)) == []
    with pytest.raises(TransitionRefused, match="Clone it instead"):
        retry_job(database, claimed.job_id)


def test_jobs_under_way_keep_theirs(database: Database, settings: Settings) -> None:
    paused = running(database, settings)
    save(database, paused, 100)
    release(database, paused)
    pause_job(database, paused.job_id)
    change(database, paused, finished_at=1)
    assert expire_checkpoints(database, soon(settings, checkpoint_ttl_seconds=1.0)) == []


def test_a_success_without_checkpoints_can_still_be_extended(
    database: Database, settings: Settings
) -> None:
    """It never had any: nothing has expired."""
    claimed = succeeded(database, settings)
    expire_checkpoints(database, soon(settings, checkpoint_ttl_seconds=1e-9))
    with database.read() as session:
        job: Job = get_job(session, claimed.job_id)
    assert job.expired_at is None
    assert Action.EXTEND in allowed_actions(job)
