"""A clock that stands still until it is moved, in place of the database's own.

Every time in the store is the SQL of `store.clock.now_ms`. The test's engine puts a number in its
place before a statement is sent: the product knows nothing of it.
"""

from typing import Any

from sqlalchemy import Engine, event

from store.clock import now_ms
from store.database import Database


class FakeClock:
    def __init__(self, now: int) -> None:
        self.now = now

    def drive(self, database: Database) -> None:
        engine = database.engine
        sql = str(now_ms().compile(dialect=engine.dialect))

        def replace(
            _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
        ) -> tuple[str, Any]:
            return statement.replace(sql, str(self.now)), parameters

        for each in engines(database):
            event.listen(each, "before_cursor_execute", replace, retval=True)


def engines(database: Database) -> list[Engine]:
    """The writer's and the reader's. On PostgreSQL both are one, and listened to once."""
    writer, reader = database.engine, database._reader
    return [writer] if not database.is_sqlite else [writer, reader]
