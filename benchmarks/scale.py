"""What the database costs as jobs pile up: `python -m benchmarks.scale [--database sqlite]`.

Fills a fresh database for each number of queued jobs and measures, each as the median of repeated
calls of the very functions that server, workers and reconciler call. Writes a Markdown table.
The PostgreSQL is of the tests: on this machine, over a Unix socket, with fsync on.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, text

from app.views import job_views
from benchmarks.servers import postgres_server
from store.bells import count_queued, jobs_to_ring, mark_rung
from store.clock import now_ms
from store.database import Database
from store.endings import reap_expired
from store.ids import new_id
from store.jobs import JobFilter, list_jobs, submit_job
from store.ownership import Claim, claim_next, renew
from store.results import MetricRow, record_progress
from store.schema import migrate
from store.settings import Settings
from store.spec import JobSpec
from store.tables import Attempt, Job, MetricPoint

SPEC = JobSpec.model_validate(
    {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 1_000_000}}
)
CHUNK = 5_000
METRICS = {f"metric/{n}": float(n) for n in range(20)}
CALLS = 20


@dataclass(frozen=True)
class Measured:
    """`value` in milliseconds, if no other unit stands in `what`."""

    what: str
    value: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["postgres", "sqlite"], default="postgres")
    parser.add_argument("--queued", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--running", type=int, default=1_000)
    options = parser.parse_args()
    columns: list[list[Measured]] = []
    for queued in options.queued:
        with _database(options.database) as database:
            columns.append(list(_measure(database, queued, options.running)))
            version = _version(database)
    print(_page(version, options, columns))


@contextmanager
def _database(kind: str) -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="mrq-scale-") as folder:
        if kind == "sqlite":
            database = Database(f"sqlite:///{Path(folder) / 'mrq.db'}")
            migrate(database)
            yield database
            database.dispose()
            return
        with postgres_server(durable=True) as server:
            database = Database(server.url)
            migrate(database)
            yield database
            database.dispose()


def _measure(database: Database, queued: int, running: int) -> Iterator[Measured]:
    settings = Settings()
    yield _timed("submit a job, few there", lambda: submit_job(database, SPEC))
    claims = _fill(database, queued, running)
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    yield _timed("submit a job", lambda: submit_job(database, SPEC))
    yield _timed("reconciler: look for jobs to ring", lambda: jobs_to_ring(database, settings))
    yield _timed("reconciler: count the queue", lambda: count_queued(database))
    yield _timed("reconciler: look for lost leases", lambda: reap_expired(database, settings))
    due = iter(jobs_to_ring(database, settings))
    yield _timed("reconciler: mark one as rung", lambda: mark_rung(database, next(due)))
    renewed = iter(claims)
    yield _timed("renew a lease", lambda: renew(database, settings, next(renewed)))
    yield _timed("claim a job", lambda: claim_next(database, settings, "w", "h"))
    limited = settings.model_copy(update={"max_running_per_owner": running + 10 * CALLS})
    yield _timed("claim a job, owners limited", lambda: claim_next(database, limited, "w", "h"))
    steps = count(1)
    yield _timed(
        "hand in 20 metrics of one step", lambda: _progress(database, claims[0], next(steps))
    )
    yield _throughput(database, claims)
    if not database.is_sqlite:
        yield _size_of_a_point(database)
    yield _timed("list: first page of 20, as JSON needs it", lambda: _list(database))


def _fill(database: Database, queued: int, running: int) -> list[Claim]:
    """By bulk, as nobody would: only the end matters."""
    with database.write() as session:
        now = session.execute(select(now_ms())).scalar_one()
    for first in range(0, running + queued, CHUNK):
        numbers = range(first, min(first + CHUNK, running + queued))
        with database.write() as session:
            session.execute(insert(Job), [_row(now, number < running) for number in numbers])
    with database.write() as session:
        query = select(Job.number, Job.id).where(Job.status == "running").order_by(Job.number)
        found = session.execute(query).all()
        session.execute(insert(Attempt), [_attempt(now, number) for number, _ in found])
    spec = SPEC.to_json()
    return [Claim(job_number=n, job_id=identity, epoch=1, spec=spec) for n, identity in found]


def _row(now: int, is_running: bool) -> dict[str, Any]:
    return {
        "id": new_id("job"),
        "name": SPEC.resolved_name(),
        "labels": {"owner": "somebody"},
        "environment_id": SPEC.environment.id,
        "spec": SPEC.to_json(),
        "spec_sha256": SPEC.sha256(),
        "total_steps": SPEC.budget.total_steps,
        "status": "running" if is_running else "queued",
        "epoch": int(is_running),
        "lease_until": now + 3_600_000 if is_running else 0,
        "latest_metrics": {},
        "created_at": now,
    }


def _attempt(now: int, number: int) -> dict[str, Any]:
    return {
        "job_number": number,
        "number": 1,
        "status": "running",
        "worker": "w",
        "host": "h",
        "start_step": 0,
        "started_at": now,
    }


def _progress(database: Database, claim: Claim, step: int) -> None:
    rows = [MetricRow(step=step, values=METRICS)]
    record_progress(database, claim, step=step, steps_per_second=1.0, rows=rows)


def _throughput(database: Database, claims: list[Claim], workers: int = 8) -> Measured:
    """Eight jobs at once, each a transaction per second's worth of metrics."""
    rounds = 25

    def hand_in(claim: Claim) -> None:
        for step in range(1_000, 1_000 + rounds):
            _progress(database, claim, step)

    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(hand_in, claims[1 : workers + 1]))
    seconds = time.perf_counter() - started
    calls = workers * rounds
    return Measured("metric points per second, 8 jobs at once", calls * len(METRICS) / seconds)


def _size_of_a_point(database: Database) -> Measured:
    """With its index. PostgreSQL only: SQLite has no such figure for one table."""
    with database.read() as session:
        points = session.execute(select(func.count(MetricPoint.step))).scalar_one()
        size = session.execute(text("SELECT pg_total_relation_size('metric_points')")).scalar_one()
    return Measured("bytes of a metric point, with its index", size / points)


def _list(database: Database) -> None:
    with database.read() as session:
        jobs, _ = list_jobs(session, JobFilter(), limit=20, cursor=None)
        job_views(session, jobs)


def _timed(what: str, call: Callable[[], object]) -> Measured:
    call()  # what is prepared once is not what is asked about
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return Measured(what, 1000 * statistics.median(times))


def _version(database: Database) -> str:
    query = "SELECT sqlite_version()" if database.is_sqlite else "SHOW server_version"
    with database.read() as session:
        return str(session.execute(text(query)).scalar_one())


def _page(version: str, options: argparse.Namespace, columns: list[list[Measured]]) -> str:
    sizes = " | ".join(f"{queued:,} queued" for queued in options.queued)
    lines = [
        f"{options.database} {version}, {options.running:,} jobs running; medians of {CALLS} "
        f"calls; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        f"| milliseconds | {sizes} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for row in zip(*columns, strict=True):
        values = " | ".join(f"{each.value:,.2f}" for each in row)
        lines.append(f"| {row[0].what} | {values} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
