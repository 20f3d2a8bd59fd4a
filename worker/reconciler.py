"""`python -m worker.reconciler`: rings for jobs that wait, takes jobs from owners that died.

Any number may run: each action is a guarded transaction, so two are only wasteful.
"""

import logging
import signal
import sys
import threading
import time
from types import FrameType

from sqlalchemy.exc import DBAPIError

from store.bells import count_queued, jobs_to_ring, mark_rung
from store.database import Database
from store.doorbell import CeleryDoorbell, Doorbell, DoorbellSilent
from store.endings import reap_expired
from store.schema import require_current_schema
from store.settings import Settings
from worker.collector import Collector

logger = logging.getLogger(__name__)


class Reconciler:
    def __init__(self, database: Database, settings: Settings, doorbell: Doorbell) -> None:
        self._database = database
        self._settings = settings
        self._doorbell = doorbell
        self._reap_due = 0.0

    def run(self, ended: threading.Event) -> None:
        while not ended.wait(self._settings.ring_seconds):
            try:
                self.turn()
            except (DBAPIError, DoorbellSilent) as error:
                logger.warning("next try in a moment: %s", error)
                ended.wait(self._settings.reap_seconds)

    def turn(self) -> None:
        if time.monotonic() >= self._reap_due:
            if reaped := reap_expired(self._database, self._settings):
                logger.warning("took %d jobs from owners whose lease ran out", reaped)
            self._reap_due = time.monotonic() + self._settings.reap_seconds
        self._ring()

    def _ring(self) -> None:
        due = jobs_to_ring(self._database, self._settings)
        if not due:
            return
        # A bell that still waits in the broker is not rung again: a long queue must not grow it.
        missing = max(0, count_queued(self._database) - self._doorbell.waiting())
        for job in due[:missing]:
            self._doorbell.ring(job.id)
        for job in due:
            mark_rung(self._database, job)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings()
    database = Database(settings.database_url)
    require_current_schema(database)
    doorbell = CeleryDoorbell(settings.broker_url.get_secret_value())
    ended = threading.Event()

    def end(_signum: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    collector = threading.Thread(target=Collector(database, settings).run, args=(ended,))
    collector.start()
    try:
        Reconciler(database, settings, doorbell).run(ended)
    finally:
        ended.set()  # or a reconciler that died of a defect would live on in its other thread
        collector.join()
    doorbell.close()
    database.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
