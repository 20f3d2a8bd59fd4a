"""`python -m benchmarks.swaps`: an alias moves to and fro between two versions under load.

Sixteen connections ask `bench@live` for an action, one after the other, and check every answer:
200, and the very action that the version it names gives alone. Rounds without moves and rounds with
them take turns, so that a busy machine slows both. Who began to ask after a move was answered must
get the version that it moved to. The exit code is 1 if any answer was wrong.
"""

import argparse
import asyncio
import http.client
import multiprocessing
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson

from benchmarks.act import BODY, KEY, prepare
from benchmarks.act import request as act_request
from benchmarks.provenance import commit, machine
from benchmarks.serving.contenders import ours, running

ALIAS = "/policies/bench/aliases/live"
VERSIONS = (1, 2)
CONNECTIONS = 16
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


@dataclass
class Asked:
    """By one process: when each request began, in seconds of the machine's clock, how long it took,
    and whose action it got; 0 for a wrong answer."""

    begun: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        return float(np.quantile(self.seconds, share)) * 1e3


@dataclass(frozen=True)
class Move:
    version: int
    begun: float
    ended: float


@dataclass
class Round:
    quiet: Asked
    moved: Asked
    moves: list[Move]


async def _ask(port: int, seconds: float, actions: dict[int, Any]) -> Asked:
    asked = Asked()
    until = time.perf_counter() + seconds
    clients = [_one_client(port, until, actions, asked) for _ in range(CONNECTIONS)]
    await asyncio.gather(*clients)
    return asked


async def _one_client(port: int, until: float, actions: dict[int, Any], asked: Asked) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = act_request("/policies/bench@live/act")
    while (begun := time.perf_counter()) < until:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        body = orjson.loads(await reader.readexactly(int(length)))
        asked.seconds.append(time.perf_counter() - begun)
        asked.begun.append(begun)
        version = body.get("version", 0)
        right = head.startswith(b"HTTP/1.1 200") and body["action"] == actions[version]
        asked.versions.append(version if right else 0)
    writer.close()


def ask(port: int, seconds: float, actions: dict[int, Any]) -> Asked:
    """In a process of its own."""
    import uvloop

    return uvloop.run(_ask(port, seconds, actions))


class Service:
    """What the operator does."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method: str, path: str, body: bytes) -> Any:
        self._connection.request(method, path, body, HEADERS)
        answer = self._connection.getresponse()
        content = answer.read()
        self._connection.close()  # the server would, before long; the next call opens another
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {content.decode()}")
        return orjson.loads(content)

    def action_of(self, version: int) -> Any:
        return self.call("POST", f"/policies/bench:{version}/act", BODY)["action"]

    def move(self, version: int, expected: int | None) -> Move:
        body = orjson.dumps({"version": version, "expected_version": expected})
        begun = time.perf_counter()
        self.call("PUT", ALIAS, body)
        return Move(version, begun, time.perf_counter())


def run(
    service: Service, pool: Pool, port: int, rounds: int, moves: int, seconds: float
) -> list[Round]:
    """`moves` in each of the rounds."""
    actions = {version: service.action_of(version) for version in VERSIONS}
    if actions[1] == actions[2]:
        raise SystemExit("the two versions act alike: nothing could be told apart")
    now = service.move(1, None)
    pool.apply(ask, (port, seconds / 4, actions))  # warms up
    done = []
    for number in range(rounds):
        quiet = pool.apply(ask, (port, seconds, actions))
        asking = pool.apply_async(ask, (port, seconds, actions))
        made: list[Move] = []
        first = time.perf_counter()
        for index in range(moves):
            wait = first + (index + 0.5) * seconds / moves - time.perf_counter()
            time.sleep(max(0.0, wait))
            now = service.move(3 - now.version, now.version)
            made.append(now)
        done.append(Round(quiet, asking.get(), made))
        print(f"round {number + 1}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return done


def faults(rounds: list[Round]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in rounds:
        found["wrong answers"] += each.quiet.versions.count(0) + each.moved.versions.count(0)
        found["answers of a version that was none any more"] += _stale(each)
    return found


def _stale(each: Round) -> int:
    """Begun between the end of one move and the beginning of the next."""
    ends = np.array([move.ended for move in each.moves])
    begins = np.array([move.begun for move in each.moves[1:]] + [np.inf])
    stale = 0
    for begun, version in zip(each.moved.begun, each.moved.versions, strict=True):
        last = int(np.searchsorted(ends, begun)) - 1
        if last >= 0 and begun < begins[last]:
            stale += version != each.moves[last].version
    return stale


def render(rounds: list[Round], before: float, seconds: float) -> str:
    moves = [1e3 * (move.ended - move.begun) for each in rounds for move in each.moves]
    answers = sum(len(each.quiet.versions) + len(each.moved.versions) for each in rounds)
    found = ", ".join(f"{count} {what}" for what, count in faults(rounds).items())
    lines = [
        "# An alias that moves under load",
        "",
        "Written by `python -m benchmarks.swaps`.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {machine()}. {CONNECTIONS} "
        f"connections, {len(rounds)} rounds of {seconds:g} s without moves and as long with "
        f"{len(moves)} in all, in turns; medians of the rounds. Load average before {before:.1f}, "
        f"after {os.getloadavg()[0]:.1f}. The client is Python's and shares the machine: compare "
        "the columns, not the figures with others.",
        "",
        f"{answers:,} answers, each compared with the action of the version it names: {found}.",
        "",
        "| | without moves | with moves | ratio |",
        "|---|---|---|---|",
    ]
    for name, share in (("p50 ms", 0.5), ("p99 ms", 0.99)):
        quiet = [each.quiet.quantile_ms(share) for each in rounds]
        moved = [each.moved.quantile_ms(share) for each in rounds]
        ratio = median(b / a for a, b in zip(quiet, moved, strict=True))
        lines.append(f"| {name} | {median(quiet):.2f} | {median(moved):.2f} | {ratio:.2f} |")
    lines += [
        "",
        f"One `PUT` of an alias, which is a rollback too: median {median(moves):.1f} ms, "
        f"longest {max(moves):.1f} ms.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=100, help="in all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each half of a round")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    before = os.getloadavg()[0]
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as name, context.Pool(1) as pool:
        scratch = Path(name)
        for seed in range(len(VERSIONS)):
            preparing = context.Process(target=prepare, args=(name, seed))
            preparing.start()
            preparing.join()
        contender = ours(scratch)[0]
        with running([contender], scratch) as ports:
            port = ports[contender.name]
            moves = max(1, options.swaps // options.rounds)
            rounds = run(Service(port), pool, port, options.rounds, moves, options.seconds)
    text = render(rounds, before, options.seconds)
    options.out.write_text(text)
    print(text)
    if faults(rounds).total():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
