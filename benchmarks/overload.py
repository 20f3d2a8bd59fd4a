"""`python -m benchmarks.overload`: several times as many requests as the server can answer.

First its peak: as many requests of 64 observations a second as 16 connections get answered. Then,
in turns with the peak, five times as many are sent, each at its own time, whether earlier ones are
answered or not. Told are what is still answered with actions, beside the peak of the same round;
how soon the others are refused; and the server's memory. Each answer is checked: 200 with all its
actions, or 429 or 503 with `Retry-After`. Written to `benchmarks/overload.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import uvloop

from benchmarks.act import KEY, in_another_process, prepare
from benchmarks.provenance import commit
from benchmarks.serving.contenders import RAW, ours, running
from benchmarks.serving.generator import Request

ROWS = 64
CONNECTIONS = 16
# More than wait in the server at once: 4,096 observations.
MAX_CONNECTIONS = 512
_BODY = np.random.default_rng(0).standard_normal((ROWS, 17)).astype("<f4").tobytes()
REQUEST = Request(
    "/policies/bench/act", RAW, _BODY, f"Authorization: Bearer {KEY}\r\nX-Shape: {ROWS},17\r\n"
).to_bytes()


@dataclass
class Answers:
    good: list[float] = field(default_factory=list)  # seconds each
    refused: list[float] = field(default_factory=list)
    seconds: float = 0.0
    memory_mib: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.good) / self.seconds


class Client:
    """Connections that are opened when all others are busy."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers = Answers()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def ask(self) -> None:
        begun = time.perf_counter()
        async with self._room:
            connection = (
                self._idle.pop()
                if self._idle
                else await asyncio.open_connection("127.0.0.1", self.port)
            )
            status = await exchange(*connection)
            self._idle.append(connection)
        found = self.answers.good if status == 200 else self.answers.refused
        found.append(time.perf_counter() - begun)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    writer.write(REQUEST)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    lines = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    headers = {name: value for name, _, value in lines}
    body = await reader.readexactly(int(headers[b"content-length"]))
    if status == 200:
        assert len(body) == ROWS * 6 * 4, len(body)
    else:
        assert status in (429, 503), head
        assert b"retry-after" in headers, head
    return status


async def closed(port: int, seconds: float) -> Answers:
    """The peak: each connection asks again as soon as it is answered."""
    client = Client(port)
    begun = time.perf_counter()

    async def one() -> None:
        while time.perf_counter() < begun + seconds:
            await client.ask()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    client.answers.seconds = time.perf_counter() - begun
    client.close()
    return client.answers


async def offered(port: int, rate: float, seconds: float) -> Answers:
    """`rate` requests a second, whatever becomes of them."""
    client = Client(port)
    begun = time.perf_counter()
    asking: list[asyncio.Task[None]] = []
    while (now := time.perf_counter() - begun) < seconds:
        asking += [asyncio.create_task(client.ask()) for _ in range(int(now * rate) - len(asking))]
        await asyncio.sleep(0.001)
    await asyncio.gather(*asking)
    client.answers.seconds = time.perf_counter() - begun
    client.close()
    return client.answers


def measure(scratch: Path, rounds: int, seconds: float, times: float) -> list[tuple[Answers, ...]]:
    (contender, *_) = ours(scratch)
    found: list[tuple[Answers, ...]] = []
    with running([contender], scratch) as ports:
        port = ports[contender.name]
        server = next(c for c in psutil.Process().children() if str(port) in c.cmdline())
        for number in range(rounds + 1):
            peak = uvloop.run(closed(port, seconds))
            over = uvloop.run(offered(port, times * peak.rate, seconds))
            for each in (peak, over):
                each.memory_mib = server.memory_info().rss / (1 << 20)
            if number:  # the first one warms up
                found.append((peak, over))
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


def render(found: list[tuple[Answers, ...]], seconds: float, times: float) -> str:
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
    for number, (peak, over) in enumerate(found, 1):
        refused = over.refused or [0.0]
        p50, p99, worst = (1e3 * q for q in np.quantile(refused, (0.5, 0.99, 1.0)))
        lines.append(
            f"| {number} | {peak.rate:.0f} | {over.rate:.0f} | {over.rate / peak.rate:.2f} "
            f"| {len(over.refused) / over.seconds:.0f} | {p50:.1f} ms | {p99:.1f} ms "
            f"| {worst:.0f} ms | {1e3 * median(over.good):.0f} ms | {over.memory_mib:.0f} MiB |"
        )
    share = median(over.rate / peak.rate for peak, over in found)
    slow = max((s for _, over in found for s in over.refused), default=0.0)
    lines += ["", f"Median of the peak: {share:.2f}. Slowest refusal: {1e3 * slow:.0f} ms.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
