"""Retention, beside the reconciler: what has had its time goes, row first, then files.

In a thread of its own: an object store that is slow or away must not keep jobs waiting.
"""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from store.database import Database
from store.deletion import purge_deleted
from store.errors import StorageUnreachable
from store.expiry import expire_checkpoints
from store.garbage import find_strays, remove_garbage
from store.settings import Settings
from store.storage import open_artifacts

logger = logging.getLogger(__name__)

RETIRE_SECONDS = 60.0
# The whole store is listed for it.
COLLECT_SECONDS = 3_600.0
# Later than any epoch: of a purged job everything goes.
EVERY_EPOCH = 1 << 62


@dataclass
class Collector:
    """Any number may run: each removes what is garbage whoever looks."""

    database: Database
    settings: Settings
    _collect_due: float = field(default=0.0, init=False)

    def run(self, ended: threading.Event) -> None:
        while True:
            try:
                self.turn()
            except (DBAPIError, StorageUnreachable, OSError) as error:
                logger.warning("nothing is retired for now: %s", error)
            except Exception:  # a defect of ours, which must not end retention in silence
                logger.exception("nothing is retired for now")
            if ended.wait(RETIRE_SECONDS):
                return

    def turn(self) -> None:
        self._retire()
        if time.monotonic() >= self._collect_due:
            self._collect()
            self._collect_due = time.monotonic() + COLLECT_SECONDS

    def _retire(self) -> None:
        if expired := expire_checkpoints(self.database, self.settings):
            logger.info("forgot the training checkpoints of %s", ", ".join(expired))
        if purged := purge_deleted(self.database, self.settings):
            logger.info("purged %s", ", ".join(purged))
            artifacts = open_artifacts(self.settings)
            for job_id in purged:
                artifacts.sweep(job_id, set(), EVERY_EPOCH)
                with suppress(OSError):  # never there, or something in it is not ours
                    (artifacts.root / job_id).rmdir()

    def _collect(self) -> None:
        strays = find_strays(self.database, self.settings)
        remove_garbage(self.settings, strays)
        for each in strays:
            logger.info("removed %s, which no row names", each.folder)
