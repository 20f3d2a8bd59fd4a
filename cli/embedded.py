"""`mrq up` as a child, for programs that need a whole service for a while."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from store.processes import stop_with_parent

STOP_SECONDS = 60.0


@dataclass(frozen=True)
class RunningService:
    url: str
    key: str
    login_link: str
    alone: tuple[str, ...] = ()  # where there are several servers, each one's own address

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30.0)


@contextmanager
def embedded_service(
    data_dir: Path, *, workers: int = 1, servers: int = 1
) -> Iterator[RunningService]:
    """On a free port and a folder of its own; everything has ended when the block has.

    Settings of the caller's environment do not reach it.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MRQ_")}
    command = [sys.executable, "-m", "cli.main", "up", "--port", "0"]
    process = subprocess.Popen(
        [
            *(*command, "--data-dir", str(data_dir)),
            *("--workers", str(workers), "--servers", str(servers)),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=stop_with_parent,  # the callers of this function have one thread
    )
    try:
        yield _read_greeting(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STOP_SECONDS)


def _read_greeting(process: subprocess.Popen[str]) -> RunningService:
    assert process.stderr is not None
    alone = []
    marks = {"mrq: ready at ": "url", "mrq: API key": "key", "mrq: browser: ": "login_link"}
    found: dict[str, str] = {}
    said = []
    for line in process.stderr:
        said.append(line)
        if " alone at " in line:
            alone.append(line.split()[-1])
        for mark, name in marks.items():
            if line.startswith(mark):
                found[name] = line.split()[-1]
        if len(found) == len(marks):
            return RunningService(**found, alone=tuple(alone))
    raise RuntimeError(f"the service ended before it was ready: {''.join(said)}")
