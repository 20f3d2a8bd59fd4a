"""Run by Alembic. The engine comes from the caller; there is no alembic.ini with a second URL."""

from alembic import context

from store.tables import Table

engine = context.config.attributes["engine"]

with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite cannot alter in place
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
