"""Invariants, looked at again and again while everything is being killed."""

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from benchmarks.reliability.service import Service
from benchmarks.reliability.snapshot import OpenJob, Snapshot
from cli.children import Child
from store.database import Database
from store.garbage import damaged_checkpoints
from store.invariants import Finding, broken_invariants

# What holds again after a while: who has to see to it may have been killed by us.
IN_TIME = frozenset({"I6", "I7"})
STUCK = "no job is stuck"
DEAF = "no worker is deaf"
# Of calm, in which jobs waited and it took none. A lost bell is rung again after 3 s.
DEAF_SECONDS = 30.0
# A worker that was killed loads its modules first, beside others that do the same.
START_SECONDS = 20.0


class Findings:
    """Each once, however often it was seen; told when it was seen first."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.all: dict[tuple[str, str], Finding] = {}
        self._say = say

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            key = (finding.invariant, finding.job_id)
            if key not in self.all:
                self.all[key] = finding
                self._say(f"BROKEN {finding.invariant}: {finding.job_id} {finding.text}")

    @property
    def invariants(self) -> set[str]:
        return {invariant for invariant, _ in self.all}


class Patience:
    """Lets through what was seen without a break for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[tuple[str, str], float] = {}

    def reset(self) -> None:
        self._since.clear()

    def outlasted(self, findings: Iterable[Finding]) -> list[Finding]:
        now = time.monotonic()
        seen = {(finding.invariant, finding.job_id): finding for finding in findings}
        self._since = {key: self._since.get(key, now) for key in seen}
        return [seen[key] for key, since in self._since.items() if now - since >= self._seconds]

    @property
    def longest(self) -> float:
        return max((time.monotonic() - since for since in self._since.values()), default=0.0)


@dataclass
class Watch:
    database: Database
    service: Service
    patience: float  # of what must hold again in time: 2 * (lease + reap)
    findings: Findings
    samples: int = 0
    without_database: int = 0
    longest_wait: float = 0.0  # of a job that a free worker could have taken

    def __post_init__(self) -> None:
        self._late = Patience(self.patience)
        self._stuck = Patience(self.patience)
        self._up_since: dict[str, tuple[int, float]] = {}
        self._idle: dict[str, float] = {}
        self._looked_at = time.monotonic()

    def look_for_stuck(self, seen: Snapshot, *, outage: bool, stopped: Iterable[str]) -> None:
        """Call it often. A job is stuck when it waits though there is a free worker for it; a
        worker is deaf when jobs wait and it takes none."""
        ready = self._ready_workers(set(stopped))
        waiting = [job for job in seen.jobs if not job.runs and job.due]
        self._look_for_deaf(seen, ready, calm=bool(waiting) and not outage)
        free = len(ready) - sum(1 for job in seen.jobs if job.runs)
        if outage or free <= 0:
            self._stuck.reset()
            return
        self.findings.add(self._stuck.outlasted(_stuck(job) for job in waiting[:free]))
        self.longest_wait = max(self.longest_wait, self._stuck.longest)

    def sample(self, *, outage: bool, files: bool = False) -> None:
        try:
            findings = broken_invariants(self.database, self.service.settings)
            if files:
                findings += damaged_checkpoints(self.database, self.service.settings)
        except DBAPIError:
            self.without_database += 1
            self._late.reset()
            return
        self.samples += 1
        self.findings.add(each for each in findings if each.invariant not in IN_TIME)
        if outage:
            self._late.reset()
        else:
            late = [each for each in findings if each.invariant in IN_TIME]
            self.findings.add(self._late.outlasted(late))

    def _look_for_deaf(self, seen: Snapshot, ready: list[Child], *, calm: bool) -> None:
        now = time.monotonic()
        passed, self._looked_at = min(1.0, now - self._looked_at), now
        host = socket.gethostname()
        idle = [worker for worker in ready if seen.of_worker(f"{host}-{worker.pid}") is None]
        before = self._idle
        self._idle = {w.name: before.get(w.name, 0.0) + passed * calm for w in idle}
        self.findings.add(
            Finding(
                invariant=DEAF,
                job_id=name,
                text=f"jobs waited for {seconds:.0f} s of calm, and it took none",
                advice="see its log",
            )
            for name, seconds in self._idle.items()
            if seconds > DEAF_SECONDS
        )

    def _ready_workers(self, stopped: set[str]) -> list[Child]:
        now = time.monotonic()
        pids: Mapping[str, int] = {w.name: w.pid for w in self.service.workers}
        for name, pid in pids.items():
            known = self._up_since.get(name)
            if known is None or known[0] != pid:
                self._up_since[name] = (pid, now)
        return [
            worker
            for worker in self.service.workers
            if self.service.is_up(worker)
            and worker.name not in stopped
            and now - self._up_since[worker.name][1] > START_SECONDS
        ]


def _stuck(job: OpenJob) -> Finding:
    return Finding(
        invariant=STUCK,
        job_id=job.id,
        text=f"{job.status} at epoch {job.epoch}, due, and a worker is free",
        advice="see the logs of the reconcilers and of the workers",
    )
