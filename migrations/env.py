"""Run by Alembic. The engine comes from the caller; there is no alembic.ini with a second URL."""

from alembic import context
from sqlalchemy import text

from store.tables import Table

LOCK = 0x6D7271  # "mrq"; any number that nobody else uses

engine = context.config.attributes["engine"]

# One transaction from before the present revision is read: all migrations or none, one at a time.
with engine.begin() as connection:
    if connection.dialect.name == "postgresql":
        # The service's short timeouts are not for these.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite cannot alter in place
    )
    context.run_migrations()
