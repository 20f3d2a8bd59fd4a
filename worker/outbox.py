"""Writes that wait for the database, in order.

A database that is away for a while must not stop training, and must not lose or reorder what
training handed in.
"""

import logging
import time
from collections import deque
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError, IntegrityError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class Outbox:
    def __init__(self) -> None:
        self._writes: deque[Callable[[], None]] = deque()
        self._not_before = 0.0
        self._in_doubt = False

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, write: Callable[[], None]) -> None:
        """`write` is one transaction. `Fenced` and domain errors pass through to the caller."""
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
            except DBAPIError as error:
                logger.warning("the database did not take a write: %s", error)
                self._in_doubt = True
                self._not_before = time.monotonic() + RETRY_SECONDS
                return
            self._in_doubt = False
            self._writes.popleft()
