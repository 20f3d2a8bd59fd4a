"""`python -m benchmarks.streams`: a control loop's round trip, by stream and by request.

One run in which all take turns of a second, with one client and one connection: a bare WebSocket
echo on the same server, our stream in JSON and in MessagePack, and `POST /act`. What is compared
are medians of ratios to the echo's turn of the same round, so that a busy machine slows both. The
policy has the paper's size: 17 observations, 512 wide, 6 actions. With `--beside-training` the same
once more while a training with one thread goes on.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np

from benchmarks.act import BODY, KEY, OBSERVATION, prepare
from benchmarks.provenance import commit
from benchmarks.serving.contenders import Contender, ours, running
from benchmarks.serving.generator import Request
from benchmarks.serving.table import processor
from benchmarks.stream_client import BINARY, TEXT, Client, round_trips

ECHO = "bare echo"
JSON, PACKED = "stream, JSON", "stream, MessagePack with bytes"
POST = "`POST /act`, JSON"
_PATH = "/policies/bench/stream"
_HEADERS = f"Authorization: Bearer {KEY}\r\nSec-WebSocket-Protocol: %s\r\n"
_NUMBERS = np.array(OBSERVATION, "<f4").tobytes()
_LIST = msgspec.json.encode(OBSERVATION)


@dataclass(frozen=True)
class Turn:
    name: str
    p50_us: float
    p99_us: float
    rate: float
    pass_us: float  # of it, the median forward pass; 0 of the echo


Rounds = list[dict[str, Turn]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--beside-training", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("streams.md"))
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as name:
        preparing = context.Process(target=prepare, args=(name,))  # it imports torch
        preparing.start()
        preparing.join()
        command = (sys.executable, "-m", "benchmarks.stream_echo", "{port}")
        echo = Contender(ECHO, command, Request("/", "application/json", BODY))
        service = ours(Path(name))[0]
        with running([echo, service], Path(name)) as ports:
            args = ports[ECHO], ports[service.name], options.rounds, options.seconds
            parts = [("", _rounds(*args))]
            if options.beside_training:
                with _training():
                    parts.append(("Beside a training with one thread", _rounds(*args)))
    text = render(parts, options.seconds)
    options.out.write_text(text)
    print(text)


def _rounds(echo: int, service: int, rounds: int, seconds: float) -> Rounds:
    found: Rounds = []
    for number in range(rounds + 1):
        turns = {turn.name: turn for turn in _round(echo, service, seconds)}
        if number:  # the first one warms up
            found.append(turns)
            print(f"round {number}: load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return found


def _round(echo: int, service: int, seconds: float) -> Iterator[Turn]:
    with Client(echo) as client:
        client.open_socket("/")
        yield _turn(ECHO, lambda t: client.ask(TEXT, _json_frame(t)), seconds)
    with Client(service) as client:
        _open(client, "act.json.v1")
        yield _turn(JSON, lambda t: client.ask(TEXT, _json_frame(t)), seconds, json.loads)
    with Client(service) as client:
        _open(client, "act.msgpack.v1")
        read = msgspec.msgpack.decode
        yield _turn(PACKED, lambda t: client.ask(BINARY, _packed_frame(t)), seconds, read)
    request = ours(Path())[0].request.to_bytes()
    with Client(service) as client:
        yield _turn(POST, lambda _: client.post(request), seconds, json.loads)


def _turn(
    name: str,
    ask: Callable[[int], bytes],
    seconds: float,
    read: Callable[[bytes], Any] | None = None,
) -> Turn:
    """`read`: an answer that says how long its pass took. It fails where there is no action."""
    taken, answers = round_trips(ask, seconds)
    p50, p99 = (float(np.quantile(taken, share)) for share in (0.5, 0.99))
    acted = [] if read is None else [read(answer) for answer in answers]
    assert all(len(answer["action"]) == 6 for answer in acted), name
    passes = [answer["timing"]["compute_us"] for answer in acted]
    return Turn(name, p50, p99, len(taken) / seconds, statistics.median(passes or [0.0]))


def _open(client: Client, subprotocol: str) -> None:
    client.open_socket(_PATH, _HEADERS % subprotocol)
    assert b"metadata" in client.receive()


def _json_frame(t: int) -> bytes:
    return b'{"t":%d,"observation":%b}' % (t, _LIST)


def _packed_frame(t: int) -> bytes:
    return msgspec.msgpack.encode({"t": t, "observation": _NUMBERS})


@contextmanager
def _training() -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_train, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _train() -> None:
    import torch

    from benchmarks.train import training_steps
    from benchmarks.workload import WORKLOADS
    from mrq_core.config import Hyperparameters

    torch.set_num_threads(1)
    step = training_steps(WORKLOADS["vector"], Hyperparameters())["ours"]
    while True:
        step()


def render(parts: list[tuple[str, Rounds]], seconds: float) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "websockets", "msgspec"))
    lines = [
        "# A control loop's round trip",
        "",
        "Written by `python -m benchmarks.streams`; one client, one connection, all taking turns.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {processor()}, "
        f"{os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}, "
        f"{packages}. {len(parts[0][1])} rounds of {seconds} s a turn after one to warm up; "
        f"medians, and for ratios medians of the ratios within a round. Load average after it "
        f"{os.getloadavg()[0]:.1f}. The echo sends our JSON frame back.",
    ]
    for heading, rounds in parts:
        lines += ["", f"## {heading}", ""] if heading else [""]
        lines += _table(rounds)
    return "\n".join(lines) + "\n"


def _table(rounds: Rounds) -> list[str]:
    rows = [
        "| | p50 us | of it the pass | p99 us | p99 / p50 | a second | p50 to the echo's "
        "| without the pass |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in rounds[0]:
        turns = [turns[name] for turns in rounds]
        p50, passed, p99, rate = (
            statistics.median(getattr(turn, what) for turn in turns)
            for what in ("p50_us", "pass_us", "p99_us", "rate")
        )
        spread = statistics.median(turn.p99_us / turn.p50_us for turn in turns)
        whole, rest = (
            statistics.median(
                (each[name].p50_us - share * each[name].pass_us) / each[ECHO].p50_us
                for each in rounds
            )
            for share in (0, 1)
        )
        rows.append(
            f"| {name} | {p50:,.0f} | {passed:,.0f} | {p99:,.0f} | {spread:.1f} | {rate:,.0f} "
            f"| {whole:.2f} | {rest:.2f} |"
        )
    return rows


if __name__ == "__main__":
    main()
