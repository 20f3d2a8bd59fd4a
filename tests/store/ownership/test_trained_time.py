"""How long a job has trained: its attempts, but neither waiting nor a service that was down."""

from sqlalchemy import update

from store.database import Database
from store.endings import reap_expired
from store.ownership import Claim, trained_ms
from store.settings import Settings
from store.tables import Attempt
from tests.store.acting import attempts, change, claim, clock, let_lease_expire, release, running

HOUR = 3_600_000


def trained(database: Database, claimed: Claim) -> int:
    with database.read() as session:
        found = trained_ms(session, claimed)
    assert type(found) is int
    return found


def test_the_first_attempt_has_none_before_it(database: Database, settings: Settings) -> None:
    assert trained(database, running(database, settings)) == 0


def test_earlier_attempts_add_up_and_waiting_does_not(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    for _ in range(2):
        release(database, claimed)
        claimed = claim(database, settings)
    with database.write() as session:
        now = clock(database)
        for number, began in ((1, now - 9 * HOUR), (2, now - 5 * HOUR)):
            times = {"started_at": began, "finished_at": began + HOUR}
            session.execute(update(Attempt).where(Attempt.number == number).values(**times))
    assert trained(database, claimed) == 2 * HOUR
    change(database, claimed, clock_after_attempt=1)
    assert trained(database, claimed) == HOUR


def test_an_attempt_ends_with_its_lease_whenever_that_is_noticed(
    database: Database, settings: Settings
) -> None:
    """A power cut in the evening, and the services are back in the morning."""
    claimed = running(database, settings)
    ended = clock(database) - 15 * HOUR
    with database.write() as session:
        session.execute(update(Attempt).values(started_at=ended - HOUR))
    change(database, claimed, lease_until=ended)
    reap_expired(database, settings)
    assert attempts(database, claimed)[0].finished_at == ended
    change(database, claimed, not_before=0)
    assert trained(database, claim(database, settings)) == HOUR


def test_no_attempt_ends_before_it_began(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    let_lease_expire(database, claimed)
    reap_expired(database, settings)
    (attempt,) = attempts(database, claimed)
    assert attempt.finished_at == attempt.started_at
