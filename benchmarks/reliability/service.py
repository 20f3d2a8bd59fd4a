"""Every process of the service, each one startable, killable and startable again by itself.

Not `mrq up`: that has one reconciler, a broker that it restarts with everything in it, and pauses
before a restart that double up to half a minute, which two hundred kills would spend waiting.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks.reliability.family import Family
from benchmarks.reliability.jobs import SHORT_WAITS
from benchmarks.reliability.leftovers import MARK
from benchmarks.servers import ValkeyProcess
from cli.children import Child, stop
from store.database import Database
from store.schema import migrate
from store.settings import Settings

API_KEY = "a-key-for-campaigns-only"
START_SECONDS = 90.0
STOP_SECONDS = 30.0
SABOTAGE = "RELIABILITY_SABOTAGE"
# A job is not at fault for what is killed under it, so no number of kills may end it; and it must
# not wait for minutes either after several in a row.
PATIENT = {
    **SHORT_WAITS,
    "MRQ_BACKOFF_SECONDS": "0.05",
    "MRQ_MAX_ATTEMPTS_WITHOUT_PROGRESS": "1000",
    "MRQ_STORAGE_WAIT_SECONDS": "1",
    # The campaign's own disk is small: disk.py
    "MRQ_DISK_RESERVE_BYTES": "0",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`waits`: the settings of all its processes. `sabotage`: see sabotage.py."""

    workers: int = 3
    reconcilers: int = 2
    waits: Mapping[str, str] = field(default_factory=lambda: PATIENT)
    sabotage: str | None = None


@dataclass(frozen=True)
class Down:
    """A process that was killed and is started again at `until` on the monotonic clock."""

    child: Child
    until: float


class Service:
    def __init__(
        self,
        folder: Path,
        database_url: str,
        broker: ValkeyProcess,
        layout: Layout,
        mark: str,
        say: Callable[[str], None],
    ) -> None:
        self.broker = broker
        self.layout = layout
        self.settings = Settings.model_validate(
            {"data_dir": folder, "database_url": database_url, **_fields(layout.waits)}
        )
        for needed in (self.settings.log_dir, self.settings.run_dir, self.settings.artifact_dir):
            needed.mkdir(parents=True, exist_ok=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._environment = self._make_environment(mark)
        self._say = say
        self._down: list[Down] = []
        self.workers: list[Child] = []
        self.reconcilers: list[Child] = []
        self.server: Child | None = None

    def start(self) -> None:
        database = Database(self.settings.database_url)
        migrate(database)
        database.dispose()
        self.server = self._child("server", "app.serve", "--fd", str(self._listener.fileno()))
        self.reconcilers = [
            self._child(f"reconciler-{n}", "worker.reconciler")
            for n in range(1, self.layout.reconcilers + 1)
        ]
        self.workers = [
            self._child(f"worker-{n}", "worker.celery_app")
            for n in range(1, self.layout.workers + 1)
        ]
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > until:
                raise TimeoutError(f"the server did not start; see {self.settings.log_dir}")
            time.sleep(0.1)

    def watch(self) -> None:
        """Call it often: who was killed comes back when its time is over, who died by itself (a
        reconciler that found no database, say) after the pause that `mrq up` would make."""
        now = time.monotonic()
        for down in [down for down in self._down if now >= down.until]:
            self._down.remove(down)
            down.child.start()
        for child in self.children():
            if self.is_up(child):
                child.watch()

    def kill(self, child: Child, seconds: float) -> None:
        """It alone: that its parts die with it is theirs to see to. It comes back after so many
        seconds."""
        os.kill(child.pid, signal.SIGKILL)
        while not child.ended:
            time.sleep(0.005)
        self._down.append(Down(child, time.monotonic() + seconds))

    def is_up(self, child: Child) -> bool:
        return all(down.child is not child for down in self._down)

    def children(self) -> list[Child]:
        server = [] if self.server is None else [self.server]
        return [*server, *self.reconcilers, *self.workers]

    def stop(self) -> None:
        for child in self.children():
            if not child.ended:  # what is stopped hears nothing
                Family.of(child.pid).wake()
        stop(self.children(), STOP_SECONDS)
        self._listener.close()

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {API_KEY}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30.0)

    def _child(self, name: str, module: str, *arguments: str) -> Child:
        through = [] if self.layout.sabotage is None else ["benchmarks.reliability.sabotaged"]
        is_server = name == "server"
        return Child(
            name,
            (sys.executable, "-m", *through, module, *arguments),
            {**self._environment, **({"MRQ_API_KEY": API_KEY} if is_server else {})},
            self.settings.log_dir / f"{name}.log",
            self._say,
            inherited=(self._listener.fileno(),) if is_server else (),
        )

    def _make_environment(self, mark: str) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MRQ_")}
        sabotage = {} if self.layout.sabotage is None else {SABOTAGE: self.layout.sabotage}
        return {
            **kept,
            **self.layout.waits,
            **sabotage,
            MARK: mark,
            "MRQ_DATA_DIR": str(self.settings.data_dir),
            "MRQ_DATABASE_URL": self.settings.database_url,
            "MRQ_BROKER_URL": self.broker.url,
            "PYTHONUNBUFFERED": "1",
        }

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=1.0).status_code == 200
        except httpx2.HTTPError:
            return False


@contextmanager
def running(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.stop()


def _fields(environment: Mapping[str, str]) -> dict[str, str]:
    """The same settings for the campaign's own look at the database."""
    return {name.removeprefix("MRQ_").lower(): value for name, value in environment.items()}
