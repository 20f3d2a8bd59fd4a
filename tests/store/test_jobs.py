from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from store.database import Database
from store.endings import reap_expired
from store.errors import IdempotencyKeyReused, InvalidInput, NotFound
from store.jobs import (
    JobFilter,
    count_jobs_by_status,
    get_job,
    list_attempts,
    list_jobs,
    queue_position,
    submit_job,
)
from store.lifecycle import cancel_job
from store.settings import Settings
from store.tables import Event, IdempotencyRecord, Job
from tests.store.acting import (
    change,
    claim,
    events,
    let_lease_expire,
    reload,
    running,
    spec,
    submit,
)

# ---- submitting


def test_a_submitted_job_waits(database: Database) -> None:
    wanted = spec(name="p1", labels={"team": "a"}, seed=7)
    job, new = submit_job(database, wanted)
    stored = reload(database, job)
    assert new
    assert (stored.status, stored.epoch, stored.step, stored.total_steps) == ("queued", 0, 0, 1000)
    assert (stored.name, stored.labels, stored.environment_id) == (
        "p1",
        {"team": "a"},
        "Pendulum-v1",
    )
    assert stored.spec == wanted.to_json()
    assert spec(**{k: stored.spec[k] for k in stored.spec}) == wanted
    assert stored.spec_sha256 == wanted.sha256()
    assert events(database, job) == [(1, "status", {"status": "queued"})]


def test_the_same_key_and_body_give_the_same_job(database: Database) -> None:
    first, new = submit_job(database, spec(), idempotency_key="k1", body=b"{}")
    again, repeated = submit_job(database, spec(), idempotency_key="k1", body=b"{}")
    assert (new, repeated) == (True, False)
    assert again.id == first.id
    other, new = submit_job(database, spec(), idempotency_key="k2", body=b"{}")
    assert new
    assert other.id != first.id
    assert count(database, Job) == 2


def test_the_same_key_with_another_body_is_refused(database: Database) -> None:
    submit_job(database, spec(), idempotency_key="k1", body=b"{}")
    with pytest.raises(IdempotencyKeyReused, match="'k1' was used before") as refusal:
        submit_job(database, spec(), idempotency_key="k1", body=b"{ }")
    assert refusal.value.param == "Idempotency-Key"
    assert count(database, Job) == 1


def test_fifty_requests_with_one_key_make_one_job(database: Database) -> None:
    def send(_: int) -> tuple[str, bool]:
        job, new = submit_job(database, spec(), idempotency_key="k1", body=b"{}")
        return job.id, new

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(send, range(50)))
    assert len({job_id for job_id, _ in answers}) == 1
    assert sum(new for _, new in answers) == 1
    assert [count(database, table) for table in (Job, IdempotencyRecord, Event)] == [1, 1, 1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\x00b", "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(database: Database, key: str) -> None:
    with pytest.raises(InvalidInput, match="must be 1 to 255 printable characters"):
        submit_job(database, spec(), idempotency_key=key)
    assert count(database, Job) == 0


def count(database: Database, table: type[Any]) -> int:
    with database.read() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


# ---- finding


def test_what_is_not_there_is_named(database: Database) -> None:
    with database.read() as session:
        for wrong in ("job_0", "", "job_\x00", "a" * 5000, "' OR 1=1 --"):
            with pytest.raises(NotFound) as refusal:
                get_job(session, wrong)
            assert (refusal.value.code, refusal.value.param) == ("job_not_found", "job_id")
    for wrong in ("job_0", "job_\x00"):
        with pytest.raises(NotFound):
            cancel_job(database, wrong)


def page(
    database: Database, cursor: str | None = None, limit: int = 100, **where: Any
) -> tuple[list[str], str | None]:
    with database.read() as session:
        jobs, following = list_jobs(session, JobFilter(**where), limit=limit, cursor=cursor)
        return [job.id for job in jobs], following


def test_pages_are_complete_and_new_jobs_shift_nothing(database: Database) -> None:
    jobs = [submit(database).id for _ in range(5)]
    first, cursor = page(database, limit=2)
    submit(database)
    second, cursor = page(database, cursor, limit=2)
    third, end = page(database, cursor, limit=2)
    assert [first, second, third] == [[jobs[4], jobs[3]], [jobs[2], jobs[1]], [jobs[0]]]
    assert end is None


def test_an_exact_page_is_the_last(database: Database) -> None:
    submit(database)
    submit(database)
    assert page(database, limit=2)[1] is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!!", "bjEyM2E", "bi01", "bm4", "é", "bjk5OTk5OTk5OTk5OTk5OTk5OTk", "A"]
)
def test_a_cursor_that_is_none_is_refused(database: Database, cursor: str) -> None:
    """n123a, n-5, nn, a number of 20 digits, and what is not base64 at all."""
    with pytest.raises(InvalidInput, match="is no cursor of this service") as refusal:
        page(database, cursor)
    assert refusal.value.param == "after"


def test_filters_find_what_they_say(database: Database, settings: Settings) -> None:
    a = submit(database, name="Cart_one", labels={"team": "a", "x.y/z-1": "ü", "1": "one"})
    b = submit(database, name="pend-100", labels={"team": "b"})
    c = submit(database, environment={"id": "CartPole-v1"}, labels={"team": "a"})
    assert claim(database, settings).job_id == a.id
    found = {
        "all": page(database),
        "running": page(database, status="running"),
        "queued": page(database, status="queued"),
        "nonsense": page(database, status="nonsense"),
        "environment": page(database, environment="CartPole-v1"),
        "name": page(database, name_contains="one"),
        "name, a wildcard of SQL": page(database, name_contains="t_o"),
        "name, another": page(database, name_contains="%"),
        "label": page(database, labels={"team": "a"}),
        "two labels": page(database, labels={"team": "a", "x.y/z-1": "ü"}),
        "a label like a number": page(database, labels={"1": "one"}),
        "no such label": page(database, labels={"nope": "a"}),
        "label and status": page(database, labels={"team": "a"}, status="queued"),
    }
    assert {name: ids for name, (ids, _) in found.items()} == {
        "all": [c.id, b.id, a.id],
        "running": [a.id],
        "queued": [c.id, b.id],
        "nonsense": [],
        "environment": [c.id],
        "name": [a.id],
        "name, a wildcard of SQL": [a.id],
        "name, another": [],
        "label": [c.id, a.id],
        "two labels": [a.id],
        "a label like a number": [a.id],
        "no such label": [],
        "label and status": [c.id],
    }


BAD_FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"status": "\x00"}, "status"),
    ({"environment": "a\x00"}, "environment"),
    ({"name_contains": "\x00"}, "q"),
    ({"labels": {"a": "\x00"}}, "label.a"),
    ({"labels": {'a"b': "x"}}, "label"),
    ({"labels": {"$[0]": "x"}}, "label"),
    ({"labels": {"": "x"}}, "label"),
    ({"labels": {"a\n": "x"}}, "label"),
]


def test_filters_that_a_database_would_stumble_over_are_refused(database: Database) -> None:
    submit(database, labels={"a": "b"})
    for where, param in BAD_FILTERS:
        with pytest.raises(InvalidInput) as refusal:
            page(database, **where)
        assert refusal.value.param == param


def test_a_list_filtered_by_status_is_read_in_order(database: Database) -> None:
    """No sort over all ended jobs for the first page of twenty."""
    prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    query = "SELECT * FROM jobs WHERE status = 'failed' ORDER BY number DESC LIMIT 20"
    with database.write() as session:
        connection = session.connection()
        if not database.is_sqlite:
            for way in ("seqscan", "bitmapscan"):  # which suit a tiny table
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        plan = str(connection.exec_driver_sql(prefix + query).all())
    assert "ix_jobs_status_number" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


def test_jobs_are_counted_by_status(database: Database, settings: Settings) -> None:
    for _ in range(3):
        submit(database)
    claim(database, settings)
    with database.read() as session:
        assert count_jobs_by_status(session) == {"queued": 2, "running": 1}


def test_the_place_in_the_queue(database: Database, settings: Settings) -> None:
    taken, first, second, urgent = (submit(database) for _ in range(4))
    claim(database, settings)
    change(database, urgent, priority=1)
    with database.read() as session:
        places = [
            queue_position(session, get_job(session, job.id))
            for job in (taken, urgent, first, second)
        ]
    assert places == [None, 1, 2, 3]


def test_attempts_are_listed_in_order(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    change(database, claimed, not_before=0)
    claim(database, settings, "w2")
    with database.read() as session:
        listed = list_attempts(session, claimed.job_number)
    assert [(a.number, a.worker, a.status) for a in listed] == [
        (1, "w1", "lost"),
        (2, "w2", "running"),
    ]
