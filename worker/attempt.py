"""The loop between a running trainer and the database: hear it, hand in, stop it when asked."""

import logging
import time
from collections.abc import Callable
from functools import partial

from store.errors import Fenced, StorageUnreachable
from store.lifecycle import GRACE_SECONDS
from store.ownership import Claim
from store.states import Desired
from worker.channel import Kind, Message
from worker.handin import HandIn
from worker.hang import what_hangs
from worker.lease import Lease
from worker.time_limits import TimeLimits
from worker.trainer_process import TrainerProcess
from worker.verdict import Judge, Observed

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
STOP_GRACE_SECONDS = GRACE_SECONDS
# For how long the last checkpoints of an attempt wait for a store that is away.
STORAGE_PATIENCE_SECONDS = 600.0
# In which a checkpoint gets its row however little time there is.
LEAST_SECONDS = 1.0


class Attempt:
    def __init__(
        self,
        claim: Claim,
        lease: Lease,
        trainer: TrainerProcess,
        hand_in: HandIn,
        times: TimeLimits,
        judge: Judge,
        draining: Callable[[], bool],
    ) -> None:
        self._claim = claim
        self._lease = lease
        self._trainer = trainer
        self._draining = draining
        self._hand_in = hand_in
        self._times = times
        self._judge = judge
        self._outbox = hand_in.outbox
        self._publisher = hand_in.publisher
        self._heard_at = time.monotonic()
        self._stop_asked_at: float | None = None
        self._last_word: Message | None = None
        self._silence: str | None = None
        self._started_at_step = 0
        self._steps_begun = 0

    def run(self) -> None:
        while self._trainer.exit_code is None:
            self._hear(self._trainer.next_message(TICK_SECONDS))
            self._require_lease()
            self._stop_if_asked()
            if self._silence is None and self._hangs():
                self._silence = self._describe_silence()
                self._trainer.kill()
            self._hand_over()
        self._hand_in.flush_progress()
        self._outbox.add(self._judge.record_peak_memory)
        self._publish_the_rest()
        self._settle(partial(self._judge.judge, self._observed()))

    def _observed(self) -> Observed:
        return Observed(
            last_word=self._last_word,
            stop_asked=self._stop_asked_at is not None,
            desired=self._lease.wish.desired,
            over=self._times.over(),
            silence=self._silence,
        )

    def _hear(self, message: Message | None) -> None:
        if message is None:
            return
        self._heard_at = time.monotonic()
        if message.kind is Kind.STARTED:
            self._started_at_step = message.body["step"]
        if message.kind is Kind.ALIVE:
            self._steps_begun = message.body["steps"]
        if message.kind in (Kind.FINISHED, Kind.STOPPED, Kind.FAILED):
            self._last_word = message
        else:
            self._hand_in.take(message)

    def _require_lease(self) -> None:
        if not self._lease.held:
            raise Fenced(f"job {self._claim.job_id}: the lease of this attempt is lost")

    def _stop_if_asked(self) -> None:
        wish = self._lease.wish
        if self._stop_asked_at is None:
            asked = wish.desired is not Desired.RUN or self._draining()
            if asked or self._times.over() is not None:
                self._trainer.ask_to_stop()
                self._stop_asked_at = time.monotonic()
        elif time.monotonic() - self._stop_asked_at > self._grace():
            self._trainer.kill()

    def _grace(self) -> float:
        asked = self._lease.wish.grace_seconds
        if asked is None:
            return STOP_GRACE_SECONDS
        return min(asked, STOP_GRACE_SECONDS) if self._draining() else asked

    def _hangs(self) -> bool:
        return time.monotonic() - self._heard_at > self._times.no_progress_seconds

    def _describe_silence(self) -> str:
        what = what_hangs(self._trainer.write_stack()) or "the trainer says nothing"
        last = max(self._hand_in.step, self._started_at_step + max(0, self._steps_begun - 1))
        seconds = self._times.no_progress_seconds
        return f"No progress for {seconds:.0f} s after step {last}: {what}; it was killed."

    def _hand_over(self) -> None:
        self._hand_in.publish()
        self._outbox.flush()

    def _publish_the_rest(self) -> None:
        """Before the verdict, so that whatever comes next begins with the last checkpoint. Whoever
        has asked it to stop is not kept waiting for a store that is slow or away."""
        begun = time.monotonic()
        while not self._publisher.idle:
            self._require_lease()
            self._hand_over()
            now, failing_since = time.monotonic(), self._publisher.failing_since
            if failing_since is not None and now - failing_since > STORAGE_PATIENCE_SECONDS:
                raise StorageUnreachable(self._publisher.why)
            self._stop_if_asked()
            asked = self._stop_asked_at
            if asked is not None and now > max(asked + self._grace(), begun + LEAST_SECONDS):
                logger.warning("stopped without the last checkpoint %s", self._publisher.why)
                return
            time.sleep(TICK_SECONDS / 10)

    def _settle(self, verdict: Callable[[], None]) -> None:
        """Everything handed in, then the verdict: in this order, or not at all."""
        self._outbox.add(verdict)
        while len(self._outbox):
            self._require_lease()
            self._outbox.flush()
            if len(self._outbox):
                time.sleep(TICK_SECONDS)
