"""`python -m benchmarks.reliability.protocol_points sqlite`: each point of a job's life fails once.

A line of JSON for each point goes to the log; a command that is stopped begins again with the role
and kind of fault that it was at. The page is made of the log alone.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.reliability.protocol_machine import (
    commit_here,
    database_of_its_own,
    read_log,
    versions,
)
from benchmarks.servers import valkey_server
from tests.protocol.advancing import Covered, Stage, advance
from tests.protocol.faults import ROLES, Kind

PAGE = Path(__file__).with_name("failure_points.md")
SWEEPS = [(role, kind) for role in ROLES for kind in (Kind.KILL, Kind.ERROR, Kind.FULL)]
KINDS = {Kind.KILL: "SIGKILL", Kind.ERROR: "error", Kind.FULL: "no space"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", choices=["sqlite", "postgres"])
    parser.add_argument("--log", type=Path, default=Path("build/protocol/failure_points.jsonl"))
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    done = {
        (line["role"], line["kind"])
        for line in read_log(options.log)
        if line["database"] == options.database and line["points"] is not None
    }
    with database_of_its_own(options.database) as (url, folder), valkey_server() as broker:
        stage = Stage(url, broker.url, folder / "lives")
        for role, kind in SWEEPS:
            if (role, kind) not in done:
                _sweep(options, stage, role, kind, versions(options.database, url))
        stage.close()
    PAGE.write_text(page(read_log(options.log)))


def _sweep(options: argparse.Namespace, stage: Stage, role: str, kind: Kind, software: str) -> None:
    """All points, then one line that says that these were all: a life passed untouched."""
    began, covered = time.monotonic(), list[Covered]()
    advance(stage, role, kind, covered.append)
    same = {"database": options.database, "role": role, "kind": kind}
    lines: list[dict[str, Any]] = [
        {**same, "number": each.number, "label": each.label, "points": None} for each in covered
    ]
    end = {
        **same,
        "points": len(covered),
        "seconds": round(time.monotonic() - began, 1),
        "commit": commit_here(),
        "with": software,
    }
    with options.log.open("a") as log:
        log.writelines(json.dumps(line) + "\n" for line in [*lines, end])
    print(json.dumps(end), flush=True)


def page(lines: list[dict[str, Any]]) -> str:
    ends = [line for line in lines if line["points"] is not None]
    text = [
        "# Failure points",
        "",
        "Made by `make failpoints`; not written by hand. What it does: "
        "[jobs](../../docs/reference/jobs.md#proofs). Every point was",
        "followed by a full recovery, or its sweep would not be here.",
        "",
        "| database | process | fault | points, all recovered | seconds | with |",
        "|---|---|---|---|---|---|",
    ]
    for end in ends:
        row = (end["database"], end["role"], KINDS[Kind(end["kind"])], end["points"])
        text.append(f"| {' | '.join(map(str, row))} | {end['seconds']:,.0f} | {end['with']} |")
    text += ["", "## Which", "", "How often each is passed in one life, by database and fault.", ""]
    columns = sorted({(end["database"], end["kind"]) for end in ends})
    titles = " | ".join(f"{database}, {KINDS[Kind(kind)]}" for database, kind in columns)
    text += [
        f"| process | where and what | {titles} |",
        f"|---|---|{'---|' * len(columns)}",
    ]
    counts: dict[tuple[str, str], dict[tuple[str, str], int]] = defaultdict(
        lambda: defaultdict(int)
    )
    for line in lines:
        if line["points"] is None:
            counts[line["role"], line["label"]][line["database"], line["kind"]] += 1
    for (role, label), found in counts.items():
        numbers = " | ".join(str(found[column] or "-") for column in columns)
        text.append(f"| {role} | `{label}` | {numbers} |")
    commits = sorted({end["commit"] for end in ends})
    machine = f"{platform.machine()}, {platform.system()} {platform.release()}"
    text += ["", f"Commits: {', '.join(commits)}. Machine: {machine}, shared with other work."]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    main()
