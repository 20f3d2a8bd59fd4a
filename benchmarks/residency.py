"""`python -m benchmarks.residency`: policies that nobody has asked for yet, and many in memory.

A database with a hundred policies of the paper's size (17 observations, 512 wide, 6 actions); a
server that has just begun; each policy is asked for one action, and then all once more. Told are
the milliseconds to a cold policy's first action - reading it from the database, checking its bytes
and its golden pairs, warming it up - and the server's memory with all of them in it. Written to
`benchmarks/residency.md`.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx2
import psutil

from benchmarks.act import KEY, OBSERVATION, in_another_process, prepare
from benchmarks.provenance import commit
from benchmarks.serving.contenders import ours, running

MIB = 1 << 20


@dataclass
class Found:
    cold_ms: list[float]
    warm_ms: list[float]
    before_mib: float  # resident memory
    after_mib: float
    resident: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        scratch = Path(name)
        in_another_process(prepare, str(scratch))
        in_another_process(promote, str(scratch), options.policies)
        found = measure(scratch, options.policies)
    text = render(found)
    options.out.write_text(text)
    print(text)


def promote(folder: str, count: int) -> None:
    from store.database import Database
    from store.policies import find_policy, promote_checkpoint
    from store.settings import Settings

    database = Database(Settings(data_dir=Path(folder)).database_url)
    with database.read() as session:
        checkpoint = find_policy(session, "bench").checkpoint_id
    for number in range(count):
        promote_checkpoint(database, checkpoint, f"policy-{number}")
    database.dispose()


def measure(scratch: Path, count: int) -> Found:
    (contender, *_) = ours(scratch)
    with running([contender], scratch) as ports:  # "bench" is loaded: the server has begun
        port = ports[contender.name]
        server = next(
            each for each in psutil.Process().children() if str(port) in each.cmdline()
        ).memory_info
        url, key = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {KEY}"}
        with httpx2.Client(base_url=url, headers=key, timeout=60) as client:
            before = server().rss / MIB
            cold = [first_action(client, number) for number in range(count)]
            after = server().rss / MIB
            warm = [first_action(client, number) for number in range(count)]
            # The server names those in its memory; one of them is "bench".
            lines = client.get("/metrics").text.splitlines()
            resident = sum(line.startswith("mrq_act_pending{") for line in lines) - 1
    return Found(cold, warm, before, after, resident)


def first_action(client: httpx2.Client, number: int) -> float:
    begun = time.perf_counter()
    path = f"/policies/policy-{number}/act"
    answer = client.post(path, json={"observation": OBSERVATION})
    milliseconds = 1e3 * (time.perf_counter() - begun)
    answer.raise_for_status()
    return milliseconds


def render(found: Found) -> str:
    rows = [
        ("policies asked", len(found.cold_ms)),
        ("of them in memory at the end", found.resident),
        ("a cold policy's first action, median", f"{median(found.cold_ms):.0f} ms"),
        ("the slowest of them", f"{max(found.cold_ms):.0f} ms"),
        ("the second action, median", f"{median(found.warm_ms):.1f} ms"),
        ("the server's memory with one policy", f"{found.before_mib:.0f} MiB"),
        ("with all of them", f"{found.after_mib:.0f} MiB"),
    ]
    return "\n".join(
        [
            "# Cold policies, and many in memory",
            "",
            "Written by `python -m benchmarks.residency`.",
            "",
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {os.cpu_count()} cores, "
            f"{platform.python_implementation()} {platform.python_version()}, SQLite; load average "
            f"{os.getloadavg()[0]:.1f}. The client is httpx2.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
