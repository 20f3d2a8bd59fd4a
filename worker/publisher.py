"""Brings finished checkpoints to where any host can resume from them, while training goes on.

One after the other: the next is published when the row of the one before it is committed and what
that row replaced is removed. So nothing is shared with a checkpoint that is about to go.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from store.artifacts import StoredFolder
from store.checkpoint_files import CheckpointFiles
from store.errors import StorageUnreachable
from store.storage import Artifacts

logger = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
# Beside the one under way. The trainer links files from the last two that it has written, so these
# must stay; the disk holds no more than that while the store is away.
MOST_WAITING = 2


@dataclass(frozen=True)
class Finished:
    step: int
    stored: StoredFolder


class Publisher:
    def __init__(
        self,
        artifacts: Artifacts,
        epoch: int,
        last: CheckpointFiles | None,
        commit: Callable[[Finished], None],
    ) -> None:
        """`last`: the newest checkpoint that has a row. `commit` must call `committed` once the
        row is there."""
        self.failing_since: float | None = None
        self.why = ""
        self._artifacts = artifacts
        self._epoch = epoch
        self._last = last
        self._commit = commit
        self._waiting: deque[Finished] = deque()
        self._current: Finished | None = None
        self._task: Future[Any] | None = None
        self._then: Callable[[Future[Any]], object] = self._take
        self._committing = False
        self._failures = 0
        self._not_before = 0.0

    @property
    def idle(self) -> bool:
        return self._current is None and self._task is None and not self._waiting

    @property
    def failing_at(self) -> int | None:
        """The step whose checkpoint is tried in vain."""
        if self.failing_since is None or self._current is None:
            return None
        return self._current.step

    def add(self, finished: Finished) -> None:
        self._waiting.append(finished)
        if len(self._waiting) > MOST_WAITING:  # a newer one makes up for it
            skipped = self._waiting.popleft()
            self._artifacts.discard(skipped.stored.folder)
            logger.warning("the checkpoint of step %d found no way out", skipped.step)

    def turn(self) -> None:
        """Does what can be done without waiting. What no second try can help is raised."""
        if self._task is not None and self._task.done():
            done, self._task = self._task, None
            self._then(done)
        if self._current is None and self._waiting:
            self._current = self._waiting.popleft()
        due = self._task is None and not self._committing and time.monotonic() >= self._not_before
        if self._current is not None and due:
            stored = self._current.stored
            self._start(
                lambda: self._artifacts.publish(stored, self._epoch, self._last), self._take
            )

    def _take(self, done: "Future[Any]") -> None:
        assert self._current is not None
        try:
            published = Finished(self._current.step, done.result())
        except StorageUnreachable as error:
            self._wait(error)
            return
        self.failing_since, self._failures, self._not_before = None, 0, 0.0
        self._committing = True
        self._commit(published)

    def _wait(self, error: StorageUnreachable) -> None:
        now = time.monotonic()
        self.failing_since, self.why = self.failing_since or now, error.why
        seconds = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0**self._failures)
        self._failures += 1
        self._not_before = now + seconds
        logger.warning("a checkpoint waits for its storage, next try in %.0f s", seconds)

    def committed(self, published: StoredFolder, unnamed: list[str]) -> None:
        """`unnamed`: what no row names any more."""
        self._last = CheckpointFiles.stored(published)
        self._current = None
        self._committing = False
        if unnamed:
            # Nobody looks at what comes of it but for an error: the next checkpoint may have come.
            self._start(lambda: self._remove(unnamed), lambda done: done.result())

    def _remove(self, unnamed: list[str]) -> None:
        try:
            self._artifacts.remove(unnamed)
        except StorageUnreachable:
            logger.warning("%d names are left for `mrq gc`", len(unnamed))

    def _start(self, work: Callable[[], Any], then: Callable[["Future[Any]"], object]) -> None:
        """In a thread that holds no process back from ending: the store may hang. `then` is called
        by a later turn."""
        task: Future[Any] = Future()
        self._then = then

        def run() -> None:
            try:
                task.set_result(work())
            except BaseException as error:
                task.set_exception(error)

        self._task = task
        threading.Thread(target=run, daemon=True).start()
