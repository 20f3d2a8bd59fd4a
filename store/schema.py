"""Bringing a database to this release's schema, and refusing one that is newer."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

import migrations
from store.database import Database
from store.errors import SchemaTooNew, SetupError


def _config(database: Database) -> Config:
    config = Config()
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))  # ConfigParser's escape
    config.attributes["engine"] = database.engine
    return config


def migrate(database: Database) -> None:
    """All of it or nothing. Processes that do this at once wait for each other."""
    refuse_newer_schema(database)
    command.upgrade(_config(database), "head")


def current_revision(database: Database) -> str | None:
    if database.is_sqlite:
        return _revision_in_file(Path(make_url(database.url).database or ""))
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _revision_in_file(file: Path) -> str | None:
    """Read-only: our own engine would turn a newer release's file to WAL before looking."""
    if not file.exists():
        return None
    connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    finally:
        connection.close()
    return None if row is None else str(row[0])


def refuse_newer_schema(database: Database) -> None:
    """A revision that this release does not know was made by a newer one: touch nothing."""
    current = current_revision(database)
    scripts = ScriptDirectory.from_config(_config(database))
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"This database has schema {current!r}, which this release (schema "
            f"{scripts.get_current_head()!r}) does not know: a newer release made it. "
            "Install that release, or use another data folder. Nothing was changed."
        )


def require_current_schema(database: Database) -> None:
    """For processes that must not migrate by themselves: the server and the workers."""
    refuse_newer_schema(database)
    head = ScriptDirectory.from_config(_config(database)).get_current_head()
    if (current := current_revision(database)) != head:
        raise SetupError(
            f"The database has schema {current!r}, this release needs {head!r}: run `mrq migrate`."
        )
