"""`python -m benchmarks.overload`: several times as many requests as the server can answer.

First its peak: as many requests of 64 observations a second as 16 connections get answered. Then,
in turns with the peak, five times as many are sent, each at its own time, whether earlier ones are
answered or not. Told are what is still answered with actions, beside the peak of the same round;
how soon the others are refused; and the server's memory. Any answer but 200, or 429 or 503 with
`Retry-After`, ends the run. Written to `benchmarks/overload.md`.
"""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from benchmarks.act import KEY, in_another_process, prepare
from benchmarks.provenance import commit
from benchmarks.serving.contenders import RAW, ours, running
from benchmarks.serving.generator import Generator, Load, Refused, Request

ROWS = 64
CONNECTIONS = 16
# More than wait in the server at once: 4,096 observations.
MAX_CONNECTIONS = 512
REQUEST = Request(
    "/policies/bench/act",
    RAW,
    np.random.default_rng(0).standard_normal((ROWS, 17)).astype("<f4").tobytes(),
    f"Authorization: Bearer {KEY}\r\nX-Shape: {ROWS},17\r\n",
)


@dataclass(frozen=True)
class Round:
    peak: Load
    over: Load
    refused: Refused
    memory_mib: float

    @property
    def share(self) -> float:
        return self.over.rate / self.peak.rate


def measure(scratch: Path, rounds: int, seconds: float, times: float) -> list[Round]:
    (contender, *_) = ours(scratch)
    generator = Generator(scratch)
    found: list[Round] = []
    with running([contender], scratch) as ports:
        port = ports[contender.name]
        server = next(c for c in psutil.Process().children() if str(port) in c.cmdline())
        for number in range(rounds + 1):
            peak = generator.run(port, REQUEST, CONNECTIONS, seconds)
            offered = times * peak.rate
            over, refused = generator.offer(port, REQUEST, MAX_CONNECTIONS, seconds, offered)
            if number:  # the first one warms up
                found.append(Round(peak, over, refused, server.memory_info().rss / (1 << 20)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--times", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        in_another_process(prepare, name)
        found = measure(Path(name), options.rounds, options.seconds, options.times)
    text = render(found, options.seconds, options.times)
    options.out.write_text(text)
    print(text)


def render(found: list[Round], seconds: float, times: float) -> str:
    lines = [
        "# More requests than can be answered",
        "",
        "Written by `python -m benchmarks.overload`.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {os.cpu_count()} cores, "
        f"{platform.python_implementation()} {platform.python_version()}. {len(found)} rounds of "
        f"{seconds:g} s each after one to warm up; {ROWS} observations in a request, sent at "
        f"{times:g} times the round's peak; up to {MAX_CONNECTIONS} connections. The client shares "
        "the machine.",
        "",
        "| round | peak, requests/s | with actions under overload | of the peak | refused/s "
        "| refused within, p50 | p99 | slowest | with actions within, p50 | memory |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for number, each in enumerate(found, 1):
        refused = each.refused
        p50, p99, slowest = (
            us / 1e3 for us in (refused.p50_us, refused.p99_us, refused.longest_us)
        )
        lines.append(
            f"| {number} | {each.peak.rate:.0f} | {each.over.rate:.0f} | {each.share:.2f} "
            f"| {refused.rate:.0f} | {p50:.1f} ms | {p99:.1f} ms | {slowest:.0f} ms "
            f"| {each.over.p50_us / 1e3:.0f} ms | {each.memory_mib:.0f} MiB |"
        )
    share = median(each.share for each in found)
    slowest = max(each.refused.longest_us for each in found) / 1e3
    lines += ["", f"Median of the peak: {share:.2f}. Slowest refusal: {slowest:.0f} ms.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
