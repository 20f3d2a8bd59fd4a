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

from store.database import Database
from store.schema import migrate
from store.settings import Settings
from tests.services import ValkeyProcess, postgres_server, valkey_server


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MRQ_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this test run; its user may create databases."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_admin(postgres_url: str) -> Iterator[psycopg.Connection]:
    """Kept open: a database for each test then costs 30 ms."""
    conninfo = postgres_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@contextmanager
def _postgres_database(request: pytest.FixtureRequest, template: str) -> Iterator[str]:
    admin: psycopg.Connection = request.getfixturevalue("_postgres_admin")
    name = f"test_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _at(request.getfixturevalue("postgres_url"), name)
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_url: str, _postgres_admin: psycopg.Connection) -> str:
    """Name of a database that CREATE DATABASE ... TEMPLATE copies."""
    name = "migrated"
    _postgres_admin.execute(f"CREATE DATABASE {name}")
    _migrate(_at(postgres_url, name))
    return name


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "mrq.db"
    _migrate(f"sqlite:///{file}")
    return file


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.dispose()


def _at(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Nothing in it, not even the schema; once for each kind of database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with _postgres_database(request, "template0") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with the schema that the migrations make, once for each kind."""
    if request.param == "sqlite":
        file = tmp_path / "data" / "mrq.db"
        file.parent.mkdir()
        shutil.copy(request.getfixturevalue("_migrated_sqlite"), file)
        yield f"sqlite:///{file}"
        return
    with _postgres_database(request, request.getfixturevalue("_migrated_postgres")) as url:
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
        "lease_seconds": 2.0,
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
