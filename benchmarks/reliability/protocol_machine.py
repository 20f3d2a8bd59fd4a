"""`python -m benchmarks.reliability.protocol_machine sqlite`: many runs of the state machine.

Batches of runs, each with its seed; a line of JSON for each goes to the log, so that it can be
stopped and goes on where it was. The page is made of the log alone.
"""

import argparse
import json
import platform
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import sqlalchemy

from benchmarks.servers import postgres_server
from store.database import Database
from store.schema import migrate
from tests.protocol.running import run_machine

PAGE = Path(__file__).with_name("state_machine.md")
BATCH = 100
# A real file, but no disk: what a power cut does is another test's question.
FAST_FOLDER = "/dev/shm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=["sqlite", "postgres"])
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--log", type=Path, default=Path("build/protocol/state_machine.jsonl"))
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with database_of_its_own(options.database) as (url, folder):
        missing = options.runs * options.steps
        for number in range(1, 10_000):
            batch = _find(options, number) or _run(options, number, url, folder)
            missing -= batch["steps"]
            if missing <= 0:
                break
    PAGE.write_text(page(read_log(options.log)))


@contextmanager
def database_of_its_own(kind: str) -> Iterator[tuple[str, Path]]:
    place = FAST_FOLDER if Path(FAST_FOLDER).is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="mrq-protocol-", dir=place))
    try:
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'mrq.db'}"
            _migrate(url)
            yield url, folder
        else:
            with postgres_server() as server:
                _migrate(server.url)
                yield server.url, folder
    finally:
        shutil.rmtree(folder)


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.dispose()


def _run(options: argparse.Namespace, number: int, url: str, folder: Path) -> dict[str, Any]:
    """A batch that fails raises, with the example that failed: it is not counted."""
    began, used = time.monotonic(), time.process_time()
    done = run_machine(url, folder, runs=BATCH, steps=options.steps, number=number)
    batch = {
        "database": options.database,
        "seed": number,
        "length": options.steps,
        **done,
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "commit": commit_here(),
        "with": versions(options.database, url),
    }
    with options.log.open("a") as log:
        log.write(json.dumps(batch) + "\n")
    print(json.dumps(batch), flush=True)
    return batch


def _find(options: argparse.Namespace, number: int) -> dict[str, Any] | None:
    wanted = (options.database, number, options.steps)
    for batch in read_log(options.log):
        if (batch["database"], batch["seed"], batch["length"]) == wanted:
            return batch
    return None


def read_log(log: Path) -> list[dict[str, Any]]:
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text().splitlines()]


def commit_here() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def versions(kind: str, url: str) -> str:
    server = f"SQLite {sqlite3.sqlite_version}"
    if kind == "postgres":
        with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
            server = f"PostgreSQL {connection.info.server_version // 10_000}"
    return (
        f"{server}, SQLAlchemy {sqlalchemy.__version__}, Hypothesis {hypothesis.__version__}, "
        f"Python {platform.python_version()}"
    )


def page(batches: list[dict[str, Any]]) -> str:
    lines = [
        "# The state machine",
        "",
        "Made by `make protocol`; not written by hand. What it does: "
        "[jobs](../../docs/reference/jobs.md#proofs). A batch that fails ends the command with the",
        "steps that led there, and does not get into this table.",
        "",
        "| database | runs | steps a run | steps in all | failures | seeds | CPU seconds | with |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, length in sorted({(each["database"], each["length"]) for each in batches}):
        mine = [b for b in batches if (b["database"], b["length"]) == (kind, length)]
        runs, steps = sum(b["runs"] for b in mine), sum(b["steps"] for b in mine)
        seconds = sum(b["cpu_seconds"] for b in mine)
        seeds = f"{mine[0]['seed']} to {mine[-1]['seed']}"
        lines.append(
            f"| {kind} | {runs:,} | {length} | {steps:,} | 0 | {seeds} | {seconds:,.0f} "
            f"| {mine[-1]['with']} |"
        )
    commits = sorted({each["commit"] for each in batches})
    machine = f"{platform.machine()}, {platform.system()} {platform.release()}"
    lines += ["", f"Commits: {', '.join(commits)}. Machine: {machine}, shared with other work."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
