"""One engine for writing and one for reading, so that each takes the locks it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

from store import silence
from store.file_system import refuse_shared_between_hosts

# For a connection while all are in use, as they are when the database is cut off.
POOL_SECONDS = 5


class Database:
    """Sessions on SQLite or PostgreSQL.

    `write()` is one transaction: committed at the end of the block, rolled back on an exception.
    On SQLite it begins with BEGIN IMMEDIATE: a deferred transaction that reads first loses the
    race against another writer at once, or silently loses an update.

    `read()` sees one snapshot, however many queries it makes, and can change nothing.
    """

    def __init__(self, url: str) -> None:
        """SetupError for a SQLite file where other hosts could write too."""
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            refuse_shared_between_hosts(Path(make_url(url).database or ""))
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE", query_only=False)
            self._reader = _sqlite_engine(url, "BEGIN", query_only=True)
        else:
            self._writer = _postgresql_engine(url)
            self._reader = self._writer.execution_options(  # the same pool
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @property
    def engine(self) -> Engine:
        return self._writer

    @contextmanager
    def write(self) -> Iterator[Session]:
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def dispose(self) -> None:
        self._writer.dispose()
        self._reader.dispose()


def _sqlite_engine(url: str, begin: str, *, query_only: bool) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=10000")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # a committed row survives power loss
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA query_only={query_only:d}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: str) -> Engine:
    # READ COMMITTED suffices for writing: every write is guarded by its WHERE clause.
    limits = {
        "statement_timeout": 5_000,
        "lock_timeout": 2_000,
        "idle_in_transaction_session_timeout": 10_000,
        # The server's end of a connection to a host that is gone; ignored on a Unix socket.
        "tcp_keepalives_idle": silence.IDLE_SECONDS,
        "tcp_keepalives_interval": silence.AGAIN_SECONDS,
        "tcp_user_timeout": silence.SILENT_SECONDS * 1000,
    }
    ours = {
        "connect_timeout": silence.CONNECT_SECONDS,
        "keepalives_idle": silence.IDLE_SECONDS,
        "keepalives_interval": silence.AGAIN_SECONDS,
        "tcp_user_timeout": silence.SILENT_SECONDS * 1000,
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=POOL_SECONDS,
        connect_args={"options": options, **ours},
    )
