"""Keeping a claim alive from a thread and a database connection of its own.

The training loop may hang in an environment for minutes; the lease must not depend on it.
"""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from store.database import Database
from store.errors import Fenced
from store.ownership import Claim, Wish, renew
from store.settings import Settings

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.1


class Lease:
    """Ask `held` before anything that another owner must not see twice."""

    def __init__(self, settings: Settings, claim: Claim) -> None:
        self.wish = Wish()
        self._fenced = threading.Event()
        self._settings = settings
        self._claim = claim
        self._renewed_at = time.monotonic()
        self._ended = threading.Event()
        self._stop: Callable[[], None] | None = None
        self._threads = [
            threading.Thread(target=each, daemon=True) for each in (self._keep, self._look)
        ]

    @property
    def held(self) -> bool:
        """False once the row belongs to somebody else, or when no renewal succeeded for three
        quarters of the lease, counted on the monotonic clock from the start of the last one."""
        silent = time.monotonic() - self._renewed_at
        return not self._fenced.is_set() and silent < self._settings.self_fence_seconds

    def when_lost(self, stop: Callable[[], None]) -> None:
        """Called once, from a thread that waits for nothing else: the others may be waiting for a
        database that is cut off, for longer than the lease lasts."""
        self._stop = stop

    def hear(self, wish: Wish) -> None:
        """From whoever else writes for this claim: the last one heard counts."""
        self.wish = wish

    def __enter__(self) -> "Lease":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _keep(self) -> None:
        database = Database(self._settings.database_url)
        wait = self._settings.heartbeat_seconds
        while not self._ended.wait(wait) and not self._fenced.is_set():
            wait = self._beat(database)
        database.dispose()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if self._stop is not None and not self.held:
                self._stop()
                return

    def _beat(self, database: Database) -> float:
        """Returns the seconds until the next try."""
        started = time.monotonic()
        try:
            self.hear(renew(database, self._settings, self._claim))
        except Fenced as error:
            logger.warning("lease lost: %s", error)
            self._fenced.set()
        except DBAPIError as error:
            logger.warning("no renewal: %s", error)
            return min(RETRY_SECONDS, self._settings.heartbeat_seconds)
        else:
            self._renewed_at = started
        return self._settings.heartbeat_seconds
