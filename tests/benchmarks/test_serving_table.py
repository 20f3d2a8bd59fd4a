"""The load generator and the table of `make bench-serving`."""

import http.server
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks.serving.generator import Generator, NoCompiler, Request
from benchmarks.serving.table import FLOOR, Run, Turn, render


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[bytes]] = []
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.lock:
            self.seen.append(body)
            is_even = len(self.seen) % 2 == 0
        chunked = self.path == "/chunks"
        is_refused = self.path in ("/busy", "/rude") and is_even
        if self.path == "/busy" and not is_refused:
            time.sleep(0.05)
        self.send_response(429 if is_refused else 404 if self.path == "/bad" else 200)
        if is_refused and self.path == "/busy":
            self.send_header("Retry-After", "1")
        self.send_header(
            *(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "5"))
        )
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello")

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """The client leaves when its time is over, in the middle of an answer."""


@pytest.fixture
def port() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    try:
        return Generator(tmp_path)
    except NoCompiler as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"only the benchmarks need it: {missing}")


@pytest.mark.parametrize("path", ["/", "/chunks"])
def test_it_asks_on_all_connections_and_counts_answers(
    port: int, generator: Generator, path: str
) -> None:
    Handler.seen.clear()
    load = generator.run(port, Request(path, "text/plain", b"body"), 3, 0.3)
    assert set(Handler.seen) == {b"body"}
    answered = load.rate * 0.3
    assert 3 <= answered <= len(Handler.seen) * 1.1
    assert 0 < load.p50_us <= load.p99_us


def test_an_answer_that_is_no_200_ends_the_run(port: int, generator: Generator) -> None:
    with pytest.raises(SystemExit, match="failures"):
        generator.run(port, Request("/bad", "text/plain", b""), 1, 0.1)


def test_it_offers_so_many_a_second_and_tells_refusals_apart(
    port: int, generator: Generator
) -> None:
    Handler.seen.clear()
    load, refused = generator.offer(port, Request("/busy", "text/plain", b"body"), 8, 0.5, 100)
    asked = len(Handler.seen)
    assert 10 < asked < 60
    assert load.rate / (load.rate + refused.rate) == pytest.approx(0.5, abs=0.06)
    assert refused.p50_us <= refused.p99_us <= refused.longest_us
    assert load.p50_us >= 50_000 > refused.p50_us > 0  # also those that are under way at the end


def test_a_refusal_that_does_not_say_when_to_come_again_ends_the_run(
    port: int, generator: Generator
) -> None:
    with pytest.raises(SystemExit, match="failures"):
        generator.offer(port, Request("/rude", "text/plain", b""), 2, 0.2, 50)


def test_ratios_are_taken_within_a_round() -> None:
    """The machine is half as fast in the second round."""
    run = Run("abc", datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    for speed in (1.0, 0.5, 1.0):
        run.rounds.append(
            [
                *(Turn(FLOOR, size, 100 * speed, 10 / speed, 20) for size in (1, 16)),
                *(Turn("ours, JSON", size, 40 * speed, 30 / speed, 60) for size in (1, 16)),
                Turn("bare", 1, 50), Turn("bare", 128, 200 * speed), Turn("batch", 1, 180 * speed),
            ]
        )  # fmt: skip
    text = render(run, 1.0)
    assert "| ours, JSON | 40 | 30 | 60 | 0.40 | 3.00 | 1.0 times that |" in text
    assert "| ours, 1 connections | 180 | 0.90 |" in text
