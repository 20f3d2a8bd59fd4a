"""The database's own clock, in whole milliseconds since 1970, UTC.

Leases compare one clock only: the database's. Integers compare alike on SQLite and PostgreSQL.
"""

from datetime import UTC, datetime

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class now_ms(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite(_element: now_ms, _compiler: SQLCompiler, **_: object) -> str:
    # strftime('%f') is seconds with three decimals; SQLite before 3.42 has no unixepoch('subsec').
    return (
        "(CAST(strftime('%s','now') AS INTEGER) * 1000"
        " + CAST(substr(strftime('%f','now'), 4) AS INTEGER))"
    )


@compiles(now_ms, "postgresql")
def _postgresql(_element: now_ms, _compiler: SQLCompiler, **_: object) -> str:
    # clock_timestamp, not now(): now() stands still inside a transaction.
    return "(CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT))"


def to_ms(seconds: float) -> int:
    return round(seconds * 1000)


def to_rfc3339(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
