"""Bringing a database to this release's schema, and refusing one that is newer."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

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
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


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
