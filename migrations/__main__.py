"""`python -m migrations`: do the scripts make exactly the tables that the code expects?"""

import sys
import tempfile
import warnings
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from store.database import Database
from store.schema import migrate
from store.tables import Table


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'check.db'}")
        migrate(database)
        with database.engine.connect() as connection, warnings.catch_warnings():
            # Reflection of SQLite loses the DESC and the WHERE of this one; a test looks at them.
            warnings.filterwarnings("ignore", message="autogenerate skipping.*ix_jobs_claim")
            options = {"include_name": lambda name, *_: name != "ix_jobs_claim"}
            options |= {"include_object": lambda _, name, *__: name != "ix_jobs_claim"}
            context = MigrationContext.configure(connection, opts=options)
            differences = compare_metadata(context, Table.metadata)
        database.dispose()
    sys.stdout.write(f"migrations: {'differ: ' if differences else 'ok'}{differences or ''}\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
