"""`python -m migrations`: do the scripts make exactly the tables that the code expects?"""

import sys
import tempfile
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
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection)
            differences = compare_metadata(context, Table.metadata)
        database.dispose()
    sys.stdout.write(f"migrations: {'differ: ' if differences else 'ok'}{differences or ''}\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
