"""Faults that last: each is begun once, asked whether it is time, and ended once."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.reliability.family import Family, send
from benchmarks.reliability.snapshot import OpenJob, Snapshot
from cli.children import Child

# Woken then at the latest, should no successor come.
LONGEST_STOP_SECONDS = 60.0
# Beyond its lease.
LOCKED_SECONDS = 6.0
# Between waking the first half of a stopped worker and the second.
HALF_AWAKE_SECONDS = 0.7


@dataclass
class Outage:
    """Of a part that jobs need: nobody may be blamed for waiting meanwhile."""

    seconds: float
    end: Callable[[], None]
    is_broker: bool = False
    began: float = field(default_factory=time.monotonic)

    def due(self, _: Snapshot | None) -> bool:
        return time.monotonic() >= self.began + self.seconds


@dataclass
class StoppedWorker:
    """A whole worker under SIGSTOP. It wakes up while its successor works on the same job.

    One that was stopped in the middle of a transaction on SQLite (`locks`) keeps every process from
    writing, so that no successor can come: it wakes up after its lease.
    """

    child: Child
    family: Family
    job: OpenJob
    trainer_first: bool
    locks: bool = False
    began: float = field(default_factory=time.monotonic)
    met_successor: bool = False

    def due(self, seen: Snapshot | None) -> bool:
        if self.locks:
            return time.monotonic() > self.began + LOCKED_SECONDS
        if seen is None:
            return False
        now = seen.of_id(self.job.id)
        self.met_successor = now is not None and now.epoch > self.job.epoch and now.started
        late = time.monotonic() > self.began + LONGEST_STOP_SECONDS
        return self.met_successor or now is None or late

    def end(self) -> None:
        parts = self.family.all()
        trainer = [part for part in parts if part == self.family.trainer]
        others = [part for part in parts if part not in trainer]
        first, second = (trainer, others) if self.trainer_first else (others, trainer)
        for part in first:
            send(part, signal.SIGCONT)
        time.sleep(HALF_AWAKE_SECONDS)
        for part in second:
            send(part, signal.SIGCONT)


Lasting = Outage | StoppedWorker


def freeze(pid: int, seconds: float) -> Outage:
    os.kill(pid, signal.SIGSTOP)
    return Outage(seconds, lambda: os.kill(pid, signal.SIGCONT), is_broker=True)
