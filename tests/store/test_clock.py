import time

import pytest
from sqlalchemy import select

from store.clock import now_ms, to_rfc3339
from store.database import Database


def test_the_databases_clock_counts_milliseconds_of_utc(database: Database) -> None:
    before = time.time()
    with database.read() as session:
        now = session.execute(select(now_ms())).scalar_one()
    after = time.time()
    assert isinstance(now, int)
    # One machine, one clock; a millisecond may be rounded up.
    assert before * 1000 - 1 <= now <= after * 1000 + 1


def test_it_goes_on_within_a_transaction(database: Database) -> None:
    with database.write() as session:
        first = session.execute(select(now_ms())).scalar_one()
        time.sleep(0.02)
        assert session.execute(select(now_ms())).scalar_one() >= first + 15


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
    ],
)
def test_times_are_shown_in_utc_with_milliseconds(
    milliseconds: int | None, text: str | None
) -> None:
    assert to_rfc3339(milliseconds) == text
