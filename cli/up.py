"""`mrq up`: the whole service on one machine, with nothing installed by hand."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import httpx2

from cli.broker import Broker, embedded_broker
from cli.children import Child, stop
from cli.folder import exclusive_data_folder
from cli.listening import Listening, listeners
from store.database import Database
from store.errors import SetupError
from store.keys import api_key_file, login_link, make_api_key
from store.schema import migrate
from store.settings import Settings

WATCH_SECONDS = 0.1
START_SECONDS = 60.0
STOP_SECONDS = 15.0  # a trainer finishes its step and writes a checkpoint


def up(
    settings: Settings,
    host: str,
    port: int,
    workers: int,
    servers: int,
    say: Callable[[str], None],
) -> None:
    """Returns when asked to stop by SIGINT or SIGTERM. Raises `SetupError` before anything runs."""
    with listeners(host, port, servers) as listening, exclusive_data_folder(settings):
        database = Database(settings.database_url)
        migrate(database)
        database.dispose()
        key, is_new = make_api_key(settings)
        asked = _Asked()
        service = Service(settings, key, listening, workers, asked, say)
        try:
            service.start()
            if not asked.to_stop:
                _greet(listening, key, is_new, settings, say)
            while not asked.to_stop:
                service.watch()
                time.sleep(WATCH_SECONDS)
        finally:
            say("stopping; a running job is handed back to the queue with a checkpoint")
            service.stop()
            say("stopped")


class _Asked:
    """Set by the first SIGINT, SIGTERM or SIGHUP (the terminal was closed)."""

    def __init__(self) -> None:
        self.to_stop = False
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._ask)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self.to_stop = True


class Service:
    def __init__(
        self,
        settings: Settings,
        key: str,
        listening: Sequence[Listening],
        workers: int,
        asked: _Asked,
        say: Callable[[str], None],
    ) -> None:
        self._asked = asked
        self._settings = settings
        self._key = key
        self._listening = listening
        self._workers = workers
        self._say = say
        self._broker: Broker = embedded_broker(settings)
        self._broker_child: Child | None = None
        self._others: list[Child] = []
        self._url = listening[0].url

    def start(self) -> None:
        self._broker_child = self._child("broker", *self._broker.command)
        self._wait_for("broker", self._broker.answers)
        if self._asked.to_stop:
            return
        python = sys.executable
        self._others = [
            *(self._server(each) for each in self._listening),
            self._child("reconciler", python, "-m", "worker.reconciler"),
            *(
                self._child(f"worker-{number}", python, "-m", "worker.celery_app")
                for number in range(1, self._workers + 1)
            ),
        ]
        self._wait_for("server", self._server_answers)

    def watch(self) -> None:
        for child in self._children():
            child.watch()

    def stop(self) -> None:
        stop(self._others, STOP_SECONDS)
        if self._broker_child is not None:
            stop([self._broker_child], STOP_SECONDS)

    def _children(self) -> list[Child]:
        return [*([self._broker_child] if self._broker_child else []), *self._others]

    def _server(self, listening: Listening) -> Child:
        inherited = [listener.fileno() for listener in listening.sockets]
        options = [part for number in inherited for part in ("--fd", str(number))]
        command = (sys.executable, "-m", "app.serve", *options)
        secret = {"MRQ_API_KEY": self._key, "MRQ_SERVER_NAME": listening.server_name}
        return self._child(listening.name, *command, inherited=inherited, added=secret)

    def _child(
        self,
        name: str,
        *command: str,
        inherited: Sequence[int] = (),
        added: Mapping[str, str] | None = None,
    ) -> Child:
        environment = {**self._environment(), **(added or {})}
        log = self._settings.log_dir / f"{name}.log"
        return Child(name, command, environment, log, self._say, inherited=inherited)

    def _environment(self) -> dict[str, str]:
        """Secrets go by environment, never by command line; only the servers get the key."""
        kept = {name: value for name, value in os.environ.items() if name != "MRQ_API_KEY"}
        return {
            **kept,
            "MRQ_DATA_DIR": str(self._settings.data_dir),
            "MRQ_BROKER_URL": self._broker.url,
            # The workers share this machine's memory.
            "MRQ_JOB_MEMORY_BYTES": str(self._settings.job_memory_bytes // self._workers),
            "PYTHONUNBUFFERED": "1",
        }

    def _server_answers(self) -> bool:
        try:
            return httpx2.get(f"{self._url}/healthz", timeout=1.0).status_code == 200
        except httpx2.HTTPError:
            return False

    def _wait_for(self, name: str, answers: Callable[[], bool]) -> None:
        until = time.monotonic() + START_SECONDS
        while not self._asked.to_stop and not answers():
            self.watch()
            if time.monotonic() > until:
                raise SetupError(
                    f"The {name} did not answer within {START_SECONDS:.0f} s; "
                    f"see {self._settings.log_dir / f'{name}.log'}."
                )
            time.sleep(WATCH_SECONDS)


def _greet(
    listening: Sequence[Listening],
    key: str,
    is_new: bool,
    settings: Settings,
    say: Callable[[str], None],
) -> None:
    url = listening[0].url
    say(f"ready at {url}")
    for each in listening:
        if each.own_url is not None:
            say(f"{each.name} alone at {each.own_url}")
    say(f"data and logs in {settings.data_dir}")
    if is_new:
        say(f"API key, shown this once and kept in {api_key_file(settings)}: {key}")
    say(f"browser: {login_link(url, key)}")
    say("Ctrl+C stops everything")
