"""The load generator: `load.c`, compiled here by the C compiler that is at hand.

No wheel on PyPI carries `wrk` or the like; a client in Python would cost more than the server.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("load.c")


@dataclass(frozen=True)
class Load:
    rate: float  # answers a second
    p50_us: float
    p99_us: float


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


class Generator:
    def __init__(self, folder: Path) -> None:
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise SystemExit(
                "A C compiler is needed: no cc and no gcc on the PATH, and CC is empty."
            )
        self._folder = folder
        self._program = folder / "load"
        command = [compiler, "-O2", "-D_GNU_SOURCE", "-o", str(self._program), str(SOURCE)]
        subprocess.run(command, check=True)

    def run(self, port: int, request: Request, connections: int, seconds: float) -> Load:
        """Fails if any answer is not 200."""
        file = self._folder / "request"
        file.write_bytes(request.to_bytes())
        command = [str(self._program), "127.0.0.1", str(port), str(connections), str(seconds)]
        done = subprocess.run([*command, str(file)], check=True, stdout=subprocess.PIPE)
        found = json.loads(done.stdout)
        if found["failures"] or not found["answers"]:
            raise SystemExit(f"{request.path}: {found}")
        return Load(found["answers"] / found["seconds"], found["p50_us"], found["p99_us"])
