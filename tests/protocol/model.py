"""What the protocol promises, as plain Python: one user's view of the rules, no SQL.

The state machine does the same to this model and to the real store, and compares. Times are
milliseconds of the fake clock. A checkpoint is known here by the attempt and the step
that it was made in.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

LEASE_MS = 60_000
BACKOFF_MS = 5_000
LONGEST_BACKOFF_MS = 300_000
STORAGE_WAIT_MS = 60_000
RING_AGAIN_MS = 30_000
GRACE_SECONDS = 60.0
MAX_ATTEMPTS_WITHOUT_PROGRESS = 3
KEPT = 2

INFRASTRUCTURE = frozenset(
    {"trainer_died", "no_progress", "storage_error", "internal_error", "storage_full"}
    | {"host_out_of_memory", "gpu_out_of_memory"}
)
ONCE = frozenset({"host_out_of_memory", "gpu_out_of_memory"})


class Refused(Exception):
    """A user asks for what this phase does not allow."""


class NotTheOwner(Exception):
    """An attempt writes for a job that is no longer its own."""


class Made(NamedTuple):
    """A checkpoint or an evaluation."""

    attempt: int
    step: int


@dataclass
class Try:
    """An attempt."""

    status: str = "running"
    reason: str | None = None
    start_step: int = 0
    resumed_from: Made | None = None


@dataclass
class Measured:
    made: Made
    mean: float
    counts: bool = True  # until a later attempt starts before it


@dataclass
class ModelJob:
    number: int
    total_steps: int
    status: str = "queued"
    reason: str | None = None
    desired: str = "run"
    grace: float | None = None
    epoch: int = 0
    lease_until: int = 0
    not_before: int = 0
    rung_at: int = 0
    attempts_since_progress: int = 0
    infrastructure_failures: int = 0
    error_failures: int = 0
    counted_after: int = 0  # failures of attempts up to this one are forgiven
    step: int = 0
    resume: Made | None = None
    weights: str | None = None
    finished_at: int | None = None
    best: Made | None = None
    best_return: float | None = None
    tries: list[Try] = field(default_factory=list)
    training: set[Made] = field(default_factory=set)
    policies: set[Made] = field(default_factory=set)
    promoted: set[Made] = field(default_factory=set)
    measured: list[Measured] = field(default_factory=list)
    curve: list[int] = field(default_factory=list)

    # What users ask for.

    @property
    def phase(self) -> str:
        wanted = {"pause": "pausing", "cancel": "cancelling", "run": "running"}
        return wanted[self.desired] if self.status == "running" else self.status

    def cancel(self, now: int, grace: float | None) -> None:
        self._allow("queued", "running", "pausing", "cancelling", "paused")
        asked = GRACE_SECONDS if grace is None else grace
        in_a_hurry = self.phase == "cancelling" and self.grace is not None
        self.grace = min(asked, self.grace or 0.0) if in_a_hurry else asked
        if self.status == "running":
            self.desired = "cancel"
        else:
            self.status, self.reason, self.finished_at = "cancelled", "cancelled_by_user", now

    def pause(self) -> None:
        self._allow("queued", "running", "pausing", "paused")
        if self.status == "running":
            self.desired = "pause"
        elif self.status == "queued":
            self.status, self.reason = "paused", "paused_by_user"

    def resume_by_user(self) -> None:
        self._allow("paused", "pausing", "queued", "running")
        if self.status == "running":
            self.desired = "run"
        elif self.status == "paused":
            self._queue_anew("resumed_by_user")

    def retry(self) -> None:
        self._allow("failed", "cancelled")
        self._queue_anew("retried_by_user")
        self._begin_another_run()

    def extend(self, total_steps: int) -> None:
        self._allow("queued", "paused", "succeeded")
        if total_steps <= self.total_steps:
            raise Refused
        self.total_steps = total_steps
        if self.status == "succeeded":
            self._queue_anew("extended_by_user")
            self._begin_another_run()

    def _allow(self, *phases: str) -> None:
        if self.phase not in phases:
            raise Refused

    def _queue_anew(self, reason: str) -> None:
        self.status, self.reason, self.desired, self.grace = "queued", reason, "run", None
        self.not_before = self.rung_at = self.attempts_since_progress = 0

    def _begin_another_run(self) -> None:
        self.finished_at = self.weights = None
        self.counted_after = self.epoch

    # What owners do. Each names its epoch.

    def claim(self, now: int) -> None:
        self.status, self.reason = "running", None
        self.epoch += 1
        self.attempts_since_progress += 1
        self.lease_until = now + LEASE_MS
        self.tries.append(Try(start_step=self.step))

    def require_owner(self, epoch: int) -> None:
        if self.status != "running" or self.epoch != epoch:
            raise NotTheOwner

    def start(self, epoch: int, at: Made | None) -> None:
        self.require_owner(epoch)
        self.step, self.resume = (at.step if at else 0), at
        self.tries[-1].start_step, self.tries[-1].resumed_from = self.step, at
        self.training = {made for made in self.training if made.step <= self.step}
        self.curve = [step for step in self.curve if step <= self.step] if at else []
        for each in self.measured:
            each.counts = each.counts and at is not None and each.made.step <= self.step

    def renew(self, epoch: int, now: int) -> None:
        self.require_owner(epoch)
        self.lease_until = now + LEASE_MS

    def progress(self, epoch: int, steps: list[int]) -> None:
        self.require_owner(epoch)
        self.step = steps[-1]
        self.curve += [step for step in steps if step not in self.curve]

    def evaluate(self, epoch: int, step: int, mean: float) -> None:
        self.require_owner(epoch)
        self.step = step
        self.policies.add(Made(epoch, step))
        self.measured.append(Measured(Made(epoch, step), mean))
        standing = [e for e in self.measured if e.counts and e.made in self.policies]
        best = max(standing, key=lambda e: (e.mean, e.made.step))
        self.best, self.best_return = best.made, best.mean
        latest = sorted(self.policies)[-KEPT:]
        self.policies &= {*latest, best.made, *self.promoted}

    def checkpoint(self, epoch: int, step: int) -> set[Made]:
        """Returns those whose folders nothing names any more."""
        self.require_owner(epoch)
        self.step, self.resume = step, Made(epoch, step)
        if step > self.tries[-1].start_step:
            self.attempts_since_progress = 0
        self.training.add(self.resume)
        dropped = set(sorted(self.training)[:-KEPT])
        self.training -= dropped
        return dropped

    def succeed(self, epoch: int, now: int, reason: str, step: int, weights: str) -> None:
        self.require_owner(epoch)
        self.step, self.weights = step, weights
        if self.best is not None:
            self.promoted.add(self.best)
        self._end(now, "succeeded", reason)

    def fail(self, epoch: int, now: int, reason: str) -> None:
        self.require_owner(epoch)
        self.weights = None
        self.error_failures += 1
        self._end(now, "failed", reason)

    def hand_back(self, epoch: int, now: int, reason: str) -> None:
        self.require_owner(epoch)
        if self.desired == "cancel":
            self.weights = None
            self._end(now, "cancelled", "cancelled_by_user")
            return
        paused = self.desired == "pause"
        self.status, ended = ("paused", "paused") if paused else ("queued", "released")
        self.reason = "paused_by_user" if paused else reason
        self.desired = "run"
        self.lease_until = self.rung_at = self.not_before = 0
        self._uncharge()
        self._close(ended, self.reason)

    def give_up(self, epoch: int, now: int, reason: str) -> None:
        self.require_owner(epoch)
        self._lose(now, reason)

    def reap(self, now: int) -> bool:
        if self.status != "running" or self.lease_until >= now:
            return False
        self._lose(now, "worker_lost")
        return True

    def _lose(self, now: int, reason: str) -> None:
        before = [each.reason for each in self.tries[self.counted_after : -1]]
        self.lease_until = 0
        self.infrastructure_failures += 1
        self._close("lost", reason)
        charged = reason != "storage_full"
        crash_loop = charged and self.attempts_since_progress >= MAX_ATTEMPTS_WITHOUT_PROGRESS
        if self.desired == "cancel":
            self.status, self.reason, self.finished_at = "cancelled", "cancelled_by_user", now
        elif reason in ONCE and reason in before:
            self.status, self.reason, self.finished_at = "failed", reason, now
        elif crash_loop:
            self.status, self.reason, self.finished_at = "failed", "crash_loop", now
        elif self.desired == "pause":
            self.status, self.reason, self.desired = "paused", "paused_by_user", "run"
        else:
            self.status, self.reason, self.rung_at = "queued", reason, 0
            self.not_before = now + self._pause_ms(charged)
            if not charged:
                self._uncharge()

    def _pause_ms(self, charged: bool) -> int:
        if not charged:
            return STORAGE_WAIT_MS
        doublings = max(0, self.attempts_since_progress - 1)
        return min(LONGEST_BACKOFF_MS, BACKOFF_MS << doublings)

    def _uncharge(self) -> None:
        """An attempt that made progress is not in the count any more."""
        self.attempts_since_progress = max(0, self.attempts_since_progress - 1)

    def _end(self, now: int, status: str, reason: str) -> None:
        self.status, self.reason, self.finished_at = status, reason, now
        self._close(status, reason)

    def _close(self, status: str, reason: str | None) -> None:
        self.tries[-1].status, self.tries[-1].reason = status, reason

    # What reconcilers do.

    def waits(self, now: int) -> bool:
        return self.status == "queued" and self.not_before <= now

    def due(self, now: int) -> bool:
        return self.waits(now) and self.rung_at < now - RING_AGAIN_MS

    def mark_rung(self, now: int) -> None:
        if self.status == "queued":
            self.rung_at = now

    def evaluations(self) -> list[Made]:
        return sorted(each.made for each in self.measured if each.counts)

    def row(self) -> dict[str, Any]:
        """What must be found in the database."""
        skipped = {"measured", "promoted", "curve", "tries", "training", "policies"}
        row = {name: value for name, value in vars(self).items() if name not in skipped}
        return row | {
            "tries": [(t.status, t.reason, t.start_step, t.resumed_from) for t in self.tries],
            "training": sorted(self.training),
            "policies": sorted(self.policies),
        }
