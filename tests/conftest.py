"""Fixtures for every test: real databases and a real broker, fresh for each test and cheap."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from benchmarks.servers import ValkeyProcess, postgres_server, s3_server, valkey_server
from store.database import Database
from store.schema import current_revision, migrate
from store.settings import Settings
from store.tables import Table
from tests.buckets import S3_VARIABLES, Bucket


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MRQ_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test run; its user may create databases."""
    with postgres_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def _postgres_admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """Kept open: a database for each test then costs 30 ms."""
    with psycopg.connect(_conninfo(postgres_url), autocommit=True) as connection:
        yield connection


class PostgresDatabases:
    """Databases with the schema, emptied after use and used again: copying one writes 7 MB.

    Each test gets its own name, so that a process that outlived its test finds nothing to spoil.
    """

    def __init__(self, server: str, admin: psycopg.Connection) -> None:
        self._server = server
        self._admin = admin
        self._spare: list[str] = []
        admin.execute("CREATE DATABASE migrated")
        self._head = _migrate(_at(server, "migrated"))

    @contextmanager
    def one(self) -> Iterator[str]:
        name = f"test_{uuid.uuid4().hex}"
        if self._spare:
            self._admin.execute(f"ALTER DATABASE {self._spare.pop()} RENAME TO {name}")
        else:
            self._admin.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
        try:
            yield _at(self._server, name)
        finally:
            self._take_back(name)

    def _take_back(self, name: str) -> None:
        others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        self._admin.execute(others, [name])
        if self._emptied(name):
            self._spare.append(name)
        else:
            self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _emptied(self, name: str) -> bool:
        """False when the test has changed the schema's revision."""
        with psycopg.connect(_conninfo(_at(self._server, name))) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            for table in reversed(Table.metadata.sorted_tables):
                connection.execute(f"DELETE FROM {table.name}")
            connection.execute("ALTER SEQUENCE jobs_number_seq RESTART")
            connection.execute("ALTER SEQUENCE metric_keys_id_seq RESTART")
        return row == (self._head,)


@pytest.fixture(scope="session")
def _postgres_databases(
    postgres_url: str, _postgres_admin: psycopg.Connection
) -> PostgresDatabases:
    return PostgresDatabases(postgres_url, _postgres_admin)


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "mrq.db"
    _migrate(f"sqlite:///{file}")
    return file


def _migrate(url: str) -> str | None:
    """Returns the revision."""
    database = Database(url)
    migrate(database)
    revision = current_revision(database)
    database.dispose()
    return revision


def _at(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


def _conninfo(url: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Nothing in it, not even the schema; once for each kind of database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    admin: psycopg.Connection = request.getfixturevalue("_postgres_admin")
    name = f"empty_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name}")
    yield _at(request.getfixturevalue("postgres_url"), name)
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with the schema that the migrations make, once for each kind."""
    if request.param == "sqlite":
        file = tmp_path / "data" / "mrq.db"
        file.parent.mkdir()
        shutil.copy(request.getfixturevalue("_migrated_sqlite"), file)
        yield f"sqlite:///{file}"
        return
    databases: PostgresDatabases = request.getfixturevalue("_postgres_databases")
    with databases.one() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Each test that asks for it runs twice: on SQLite and on PostgreSQL.

    One only: `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
    """
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    """Leases of seconds, a data folder of its own, and the test's `database` if it has one."""
    return make_settings()


@pytest.fixture
def make_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Settings]:
    """`settings` with some of them changed."""
    url: str = ""
    if "database_url" in request.fixturenames:
        url = request.getfixturevalue("database_url")
    defaults: dict[str, object] = {
        "data_dir": tmp_path / "data",
        "database_url": url,
        "api_key": "test-key-0123456789",
        # A machine that stands still for a second must not cost a test its job.
        "lease_seconds": 5.0,
        "heartbeat_seconds": 0.3,
        "reap_seconds": 0.2,
        "ring_seconds": 0.1,
        "ring_again_seconds": 1.0,
        "backoff_seconds": 0.1,
        "no_progress_seconds": 30.0,
        "job_memory_bytes": 8 << 30,
    }

    def make(**changes: object) -> Settings:
        return Settings.model_validate(defaults | changes)

    return make


@pytest.fixture(scope="session")
def _valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def valkey_url(_valkey: ValkeyProcess) -> str:
    """A broker with nothing in it. A test that stops one starts its own `valkey_server()`."""
    _valkey.flush()
    return _valkey.url


@pytest.fixture(scope="session")
def _s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(_s3: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket of its own; the environment says how to reach it."""
    for name, value in {**S3_VARIABLES, "AWS_ENDPOINT_URL": _s3}.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(f"test-{uuid.uuid4().hex}")
    bucket.client.create_bucket(Bucket=bucket.name)
    return bucket
