"""Writes that wait for the database, in order.

A database that is away for a while must not stop training, and must not lose or reorder what
training handed in.
"""

import logging
import time
from collections import deque
from collections.abc import Callable

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
# SQLite gives the same error class to a locked file and to a statement that can never work.
PATIENCE_SECONDS = 600.0


class Outbox:
    def __init__(self) -> None:
        self._writes: deque[Callable[[], None]] = deque()
        self._not_before = 0.0
        self._in_doubt = False
        self._failing_since: float | None = None

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, write: Callable[[], None]) -> None:
        """`write` is one transaction. What no second try can help passes through to the caller."""
        self._writes.append(write)

    def flush(self) -> None:
        """Does what it can now; a failing database is asked again a second later."""
        while self._writes and time.monotonic() >= self._not_before:
            try:
                self._writes[0]()
            except IntegrityError:
                if not self._in_doubt:
                    raise
                # The connection broke after the commit: the rows are there already.
                logger.info("a write that was in doubt had been committed")
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database did not take a write: %s", error)
                now = time.monotonic()
                self._failing_since = self._failing_since or now
                if now - self._failing_since > PATIENCE_SECONDS:
                    raise
                self._in_doubt = True
                self._not_before = time.monotonic() + RETRY_SECONDS
                return
            self._in_doubt = False
            self._failing_since = None
            self._writes.popleft()
