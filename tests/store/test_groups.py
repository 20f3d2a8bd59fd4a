"""Groups of seeds, actions on many jobs, revisions, and whose turn it is."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from store.batch import act_on_each, matching_ids
from store.database import Database
from store.errors import IdempotencyKeyReused, NotFound
from store.events import read_events
from store.groups import get_group, jobs_of, list_groups, status_of, statuses_of, submit_group
from store.jobs import JobFilter, get_job, list_jobs, queue_position
from store.lifecycle import Phase, cancel_job, pause_job
from store.ownership import claim_next
from store.policies import succeed
from store.revision import revise_job
from store.seeds import JobRequest
from store.settings import Settings
from store.summary import Summary, summarise
from store.tables import Job, JobGroup
from tests.store.acting import BODY, claim, evaluate, reload, submit


def request(*seeds: int, **changes: Any) -> JobRequest:
    return JobRequest.model_validate(BODY | {"seeds": list(seeds)} | changes)


def launch(database: Database, *seeds: int, key: str | None = None) -> JobGroup:
    group, _ = submit_group(
        database, "pen", request(*seeds, name="pen").specs(), idempotency_key=key, body=b"x"
    )
    return group


def members(database: Database, group: JobGroup) -> list[Job]:
    with database.read() as session:
        return list(jobs_of(session, group))


def summary_of(database: Database, group: JobGroup) -> Summary:
    with database.read() as session:
        return summarise(session, jobs_of(session, group))


def test_a_group_is_a_job_for_each_seed(database: Database) -> None:
    jobs = members(database, launch(database, 5, 0, 7))
    assert [job.spec["seed"] for job in jobs] == [5, 0, 7]
    assert [job.name for job in jobs] == ["pen-seed-5", "pen-seed-0", "pen-seed-7"]
    assert {job.status for job in jobs} == {"queued"}
    without = [{k: v for k, v in job.spec.items() if k not in ("seed", "name")} for job in jobs]
    assert without[0] == without[1] == without[2]


def test_all_jobs_of_a_group_or_none(database: Database) -> None:
    good, bad = request(0, 1).specs()
    object.__setattr__(bad, "name", None)  # which `insert_job` cannot take
    with pytest.raises(AssertionError):
        submit_group(database, "pen", [good, bad])
    with database.read() as session:
        assert list_groups(session, limit=10, cursor=None) == ([], None)
        assert list_jobs(session, JobFilter(), limit=10, cursor=None) == ([], None)


def test_the_same_key_gives_the_same_group(database: Database) -> None:
    first, again = launch(database, 0, 1, key="k"), launch(database, 0, 1, key="k")
    assert first.id == again.id
    assert len(members(database, first)) == 2
    with pytest.raises(IdempotencyKeyReused):
        submit_group(database, "pen", request(0).specs(), idempotency_key="k", body=b"y")


def test_groups_are_found_and_listed_newest_first(database: Database) -> None:
    groups = [launch(database, n, n + 1) for n in range(3)]
    with database.read() as session:
        page, cursor = list_groups(session, limit=2, cursor=None)
        assert [group.id for group in page] == [groups[2].id, groups[1].id]
        rest, end = list_groups(session, limit=2, cursor=cursor)
        assert ([group.id for group in rest], end) == ([groups[0].id], None)
        assert get_group(session, groups[1].id).name == "pen"
        for unknown in ("grp_x", "\x00"):
            with pytest.raises(NotFound):
                get_group(session, unknown)
        where = JobFilter(group_id=groups[1].id)
        found, _ = list_jobs(session, where, limit=10, cursor=None)
    assert [job.spec["seed"] for job in found] == [2, 1]


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ({"succeeded": 2}, "succeeded"),
        ({"succeeded": 2, "failed": 1}, "failed"),
        ({"succeeded": 1, "cancelled": 1}, "cancelled"),
        ({"failed": 1, "queued": 1}, "queued"),
        ({"queued": 3, "running": 1, "failed": 1}, "running"),
        ({"paused": 1, "failed": 1}, "paused"),
    ],
)
def test_a_group_is_what_is_most_under_way(statuses: dict[str, int], status: str) -> None:
    assert status_of(statuses) == status


def test_an_action_on_each_job_passes_over_those_that_refuse(
    database: Database, settings: Settings
) -> None:
    group = launch(database, 0, 1, 2)
    jobs = members(database, group)
    succeed(database, claim(database, settings), weights_sha256="a", step=1_000)
    ids = [*[job.id for job in jobs], "job_unknown"]
    results = act_on_each(ids, partial(pause_job, database))
    assert [acted.phase for acted in results] == [None, Phase.PAUSED, Phase.PAUSED, None]
    assert [acted.refusal and acted.refusal.code for acted in results] == [
        "transition_refused",
        None,
        None,
        "job_not_found",
    ]
    with database.read() as session:
        assert statuses_of(session, [group]) == {group.number: {"succeeded": 1, "paused": 2}}


def test_a_filter_names_jobs_oldest_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [submit(database, labels={"team": "a"}) for _ in range(3)]
    submit(database)
    where = JobFilter(labels={"team": "a"})
    assert matching_ids(database, where) == ([job.id for job in jobs], False)
    monkeypatch.setattr("store.batch.MAX_JOBS", 2)
    assert matching_ids(database, where) == ([job.id for job in jobs[:2]], True)


def test_the_summary_counts_what_succeeded_and_names_what_did_not(
    database: Database, settings: Settings
) -> None:
    group = launch(database, 0, 1, 2, 3)
    for last in (10.0, 20.0, 40.0):
        claimed = claim(database, settings)
        evaluate(database, claimed, 500, 50.0, 30.0)
        evaluate(database, claimed, 1_000, last)
        succeed(database, claimed, weights_sha256="a", step=1_000)
    running = claim(database, settings)
    evaluate(database, running, 500, 80.0)
    found = summary_of(database, group)
    assert found.last is not None
    assert found.best is not None
    assert (found.last.n, found.last.mean.value, found.last.median.value) == (3, 70 / 3, 20.0)
    assert (found.best.least, found.best.most) == (40.0, 40.0)
    assert found.missing == {"running": 1}
    assert [(point.step, point.n) for point in found.curve] == [(500, 4), (1_000, 3)]
    assert found.curve[0].iqm.value == 40.0


def test_a_group_that_has_not_begun_has_an_empty_summary(database: Database) -> None:
    found = summary_of(database, launch(database, 0, 1))
    assert (found.last, found.best, found.curve) == (None, None, [])
    assert found.missing == {"queued": 2}


def test_higher_priorities_come_first_and_may_change_while_waiting(
    database: Database, settings: Settings
) -> None:
    low, high, plain = (submit(database, priority=p) for p in (-1, 2, 0))
    late = submit(database)
    with database.read() as session:
        positions = [queue_position(session, job) for job in (low, high, plain, late)]
    assert positions == [4, 1, 2, 3]
    revise_job(database, low.id, {"priority": 100})
    order = [claim(database, settings).job_id for _ in range(4)]
    assert order == [low.id, high.id, plain.id, late.id]


def test_a_revision_changes_the_row_and_the_spec_and_is_told(database: Database) -> None:
    job = submit(database, name="old", labels={"a": "1"})
    changes = {"name": "new", "labels": {"b": "2"}, "priority": 7}
    revised = revise_job(database, job.id, changes)
    assert (revised.name, revised.labels, revised.priority) == ("new", {"b": "2"}, 7)
    assert {key: revised.spec[key] for key in changes} == changes
    assert revised.spec_sha256 != job.spec_sha256
    with database.read() as session:
        events = read_events(session, job.number, after=0)
        assert get_job(session, job.id).spec["budget"] == job.spec["budget"]
    assert [(event.type, event.data) for event in events][-1] == ("revised", changes)


def test_a_revision_of_an_unknown_job_is_refused(database: Database) -> None:
    with pytest.raises(NotFound):
        revise_job(database, "job_x", {"priority": 1})


def capped(settings: Settings, most: int) -> Settings:
    return settings.model_copy(update={"max_running_per_owner": most})


def test_an_owner_at_the_limit_lets_others_pass(database: Database, settings: Settings) -> None:
    first, second = (submit(database, labels={"owner": "ann"}, priority=9) for _ in range(2))
    of_bob, of_nobody, also = (
        submit(database, labels={"owner": "bob"}),
        submit(database),
        submit(database, labels={"team": "x"}),
    )
    limited = capped(settings, 1)
    claims = [claim(database, limited) for _ in range(3)]
    assert [each.job_id for each in claims] == [first.id, of_bob.id, of_nobody.id]
    assert claim_next(database, limited, "w", "h") is None  # ann and nobody have one each
    cancel_job(database, also.id)
    succeed(database, claims[0], weights_sha256="a", step=1_000)
    assert claim(database, limited).job_id == second.id
    assert reload(database, first).status == "succeeded"


def test_without_a_limit_an_owner_may_have_all_workers(
    database: Database, settings: Settings
) -> None:
    jobs = [submit(database, labels={"owner": "ann"}) for _ in range(3)]
    assert [claim(database, settings).job_id for _ in range(3)] == [job.id for job in jobs]


def test_claims_at_once_do_not_pass_the_limit_together(
    database: Database, settings: Settings
) -> None:
    for _ in range(8):
        submit(database, labels={"owner": "ann"})
    limited = capped(settings, 2)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: claim_next(database, limited, f"w{n}", "h"), range(8)))
    assert sum(claimed is not None for claimed in claims) == 2
