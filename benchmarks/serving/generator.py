"""The load generator: `load.c`, compiled here by the C compiler that is at hand.

No wheel on PyPI carries `wrk` or the like; a client in Python would cost more than the server.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("load.c")


@dataclass(frozen=True)
class Load:
    rate: float  # answers a second
    p50_us: float
    p99_us: float


@dataclass(frozen=True)
class Refused:
    rate: float
    p50_us: float
    p99_us: float
    longest_us: float


@dataclass(frozen=True)
class Request:
    """`rows`: observations in it."""

    path: str
    content_type: str
    body: bytes
    headers: str = ""
    rows: int = 1

    def to_bytes(self) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: {self.content_type}\r\n"
            f"{self.headers}Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


class NoCompiler(SystemExit):
    """Ends a benchmark with its text."""


class Generator:
    def __init__(self, folder: Path) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise NoCompiler(
                "A C compiler is needed: no cc and no gcc on the PATH, and CC is empty."
            )
        self._folder = folder
        self._program = folder / "load"
        command = [compiler, "-O2", "-D_GNU_SOURCE", "-o", str(self._program), str(SOURCE)]
        subprocess.run(command, check=True)

    def run(self, port: int, request: Request, connections: int, seconds: float) -> Load:
        """Fails if any answer is not 200."""
        return _load(self._found(port, request, connections, seconds))

    def offer(
        self, port: int, request: Request, connections: int, seconds: float, rate: float
    ) -> tuple[Load, Refused]:
        """So many a second, whatever becomes of them. Fails if any answer is neither 200 nor a
        refusal that says when to come again."""
        found = self._found(port, request, connections, seconds, str(rate))
        each = found["refused"]
        times = (each["p50_us"], each["p99_us"], each["longest_us"])
        return _load(found), Refused(each["count"] / found["seconds"], *times)

    def _found(
        self, port: int, request: Request, connections: int, seconds: float, *more: str
    ) -> dict[str, Any]:
        file = self._folder / "request"
        file.write_bytes(request.to_bytes())
        arguments = ["127.0.0.1", str(port), str(connections), str(seconds), str(file), *more]
        done = subprocess.run([str(self._program), *arguments], check=True, stdout=subprocess.PIPE)
        found: dict[str, Any] = json.loads(done.stdout)
        if found["failures"] or not found["good"]["count"]:
            raise SystemExit(f"{request.path}: {found}")
        return found


def _load(found: dict[str, Any]) -> Load:
    good = found["good"]
    return Load(good["count"] / found["seconds"], good["p50_us"], good["p99_us"])
