"""One attempt at one job: claim it, start its trainer, commit what it says, judge how it ended.

Loads no torch. Every write carries the claim's epoch; once the claim is lost nothing is written,
and the trainer is killed.
"""

import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from store.artifacts import ArtifactFolder, CheckpointCorrupt
from store.database import Database
from store.endings import finish, give_up_attempt, hand_back
from store.errors import Fenced
from store.ownership import (
    Claim,
    Wish,
    claim_next,
    resumable_checkpoints,
    start_from,
    trained_ms,
)
from store.policies import succeed
from store.processes import describe_exit
from store.results import record_warning, training_folders
from store.settings import Settings
from store.spec import JobSpec, what_is_refused
from store.states import Desired, JobStatus, Reason
from store.tables import Checkpoint
from worker.channel import Kind, Message, Order
from worker.handin import HandIn
from worker.hang import what_hangs
from worker.lease import Lease
from worker.outbox import Outbox
from worker.time_limits import TimeLimits
from worker.trainer_process import TRAINER, TrainerProcess

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
STOP_GRACE_SECONDS = 60.0

# The same spec would fail the same way again.
NOT_RETRIED = frozenset({Reason.NON_FINITE, Reason.ENVIRONMENT_ERROR, Reason.CHECKPOINT_CORRUPT})

# How a run ended by itself: why, and what to say of it.
ENDS: Mapping[str, tuple[Reason, str | None]] = {
    "steps": (Reason.BUDGET_EXHAUSTED, None),
    "episodes": (Reason.BUDGET_EXHAUSTED, "All episodes are done."),
    "target": (Reason.TARGET_REACHED, None),
}


class AllCheckpointsCorrupt(Exception):
    """A job that has trained must not silently start from nothing."""


class Supervisor:
    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker: str,
        draining: Callable[[], bool],
        trainer_module: str = TRAINER,
    ) -> None:
        self._database = database
        self._settings = settings
        self._worker = worker
        self._draining = draining
        self._trainer_module = trainer_module
        self._artifacts = ArtifactFolder(settings.artifact_dir)

    def run_next(self) -> None:
        """Does the most urgent queued job, if there is one. A doubled bell finds none."""
        if self._draining():
            return
        claim = claim_next(self._database, self._settings, self._worker, socket.gethostname())
        if claim is None:
            logger.info("no job waits")
            return
        logger.info("claimed %s, attempt %d", claim.job_id, claim.epoch)
        try:
            with Lease(self._settings, claim) as lease:
                self._attempt(claim, lease)
        except Fenced as error:
            logger.warning("stopped: %s", error)
        except Exception as error:  # ours, or a write that the database will never take
            logger.exception("attempt %d at %s failed", claim.epoch, claim.job_id)
            give_up_attempt(
                self._database,
                self._settings,
                claim,
                Reason.INTERNAL_ERROR,
                message=f"{type(error).__name__}: {error}",
                exit_code=None,
            )

    def _attempt(self, claim: Claim, lease: Lease) -> None:
        try:
            spec = JobSpec.model_validate(claim.spec)
            checkpoint, folder = self._checkpoint_to_resume(claim)
        except ValidationError as error:  # accepted by another release, unknown to this one
            self._fail(claim, Reason.SPEC_INVALID, what_is_refused(error))
            return
        except AllCheckpointsCorrupt as error:
            self._fail(claim, Reason.CHECKPOINT_CORRUPT, str(error))
            return
        start_from(self._database, claim, checkpoint)
        self._sweep(claim)
        order = Order(
            job_id=claim.job_id,
            epoch=claim.epoch,
            spec=claim.spec,
            artifact_dir=str(self._settings.artifact_dir),
            resume_from=None if folder is None else str(folder),
            device=self._settings.device,
            threads=self._settings.trainer_threads,
        )
        log = self._settings.log_dir / "jobs" / claim.job_id / f"{claim.epoch}.log"
        trainer = TrainerProcess(order, log, self._trainer_module)
        try:
            hand_in = HandIn(self._database, claim, Outbox(), self._artifacts, spec, lease.hear)
            times = self._times(claim, spec)
            Attempt(
                self._database,
                self._settings,
                claim,
                lease,
                trainer,
                hand_in,
                times,
                self._draining,
            ).run()
        finally:
            trainer.close()

    def _times(self, claim: Claim, spec: JobSpec) -> TimeLimits:
        with self._database.read() as session:
            trained = trained_ms(session, claim) / 1000
        return TimeLimits(spec, trained, self._settings.no_progress_seconds)

    def _fail(self, claim: Claim, reason: Reason, message: str) -> None:
        finish(self._database, claim, JobStatus.FAILED, reason, message=message)

    def _checkpoint_to_resume(self, claim: Claim) -> tuple[Checkpoint | None, Path | None]:
        """The newest checkpoint whose files are what the database says they are."""
        with self._database.read() as session:
            candidates = resumable_checkpoints(session, claim)
        for checkpoint in candidates:
            assert checkpoint.folder is not None
            try:
                files = checkpoint.manifest["files"]
                return checkpoint, self._artifacts.verified(checkpoint.folder, files)
            except CheckpointCorrupt as error:
                logger.error("checkpoint %s is corrupt: %s", checkpoint.id, error)
                text = f"The checkpoint of step {checkpoint.step} is corrupt and was passed over"
                record_warning(self._database, claim, f"{text}: {error}")
        if candidates:
            raise AllCheckpointsCorrupt(
                f"None of the {len(candidates)} training checkpoints can be read any more; "
                f"the newest was of step {candidates[0].step}."
            )
        return None, None

    def _sweep(self, claim: Claim) -> None:
        with self._database.read() as session:
            named = training_folders(session, claim.job_number)
        self._artifacts.sweep(claim.job_id, named=named, epoch=claim.epoch)


class Attempt:
    """The loop between a running trainer and the database."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        claim: Claim,
        lease: Lease,
        trainer: TrainerProcess,
        hand_in: HandIn,
        times: TimeLimits,
        draining: Callable[[], bool],
    ) -> None:
        self._database = database
        self._settings = settings
        self._claim = claim
        self._lease = lease
        self._trainer = trainer
        self._draining = draining
        self._hand_in = hand_in
        self._times = times
        self._outbox = hand_in.outbox
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
            self._outbox.flush()
        self._hand_in.flush_progress()
        self._settle(self._judge)

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
            if (
                wish.desired is not Desired.RUN
                or self._draining()
                or self._times.over() is not None
            ):
                self._trainer.ask_to_stop()
                self._stop_asked_at = time.monotonic()
        elif time.monotonic() - self._stop_asked_at > _grace(wish):
            self._trainer.kill()

    def _hangs(self) -> bool:
        return time.monotonic() - self._heard_at > self._times.no_progress_seconds

    def _describe_silence(self) -> str:
        what = what_hangs(self._trainer.write_stack()) or "the trainer says nothing"
        last = max(self._hand_in.step, self._started_at_step + max(0, self._steps_begun - 1))
        seconds = self._times.no_progress_seconds
        return f"No progress for {seconds:.0f} s after step {last}: {what}; it was killed."

    def _settle(self, verdict: Callable[[], None]) -> None:
        """Everything handed in, then the verdict: in this order, or not at all."""
        self._outbox.add(verdict)
        while len(self._outbox):
            self._require_lease()
            self._outbox.flush()
            if len(self._outbox):
                time.sleep(TICK_SECONDS)

    def _judge(self) -> None:
        word = self._last_word
        kind = None if word is None else word.kind
        if word is not None and kind is Kind.FINISHED:
            self._succeed(word, *ENDS[word.body["end"]])
        elif self._stop_asked_at is not None and self._stopped_as_asked(kind):
            self._judge_stop(word)
        elif self._silence is not None:
            self._give_up(Reason.NO_PROGRESS, self._silence)
        elif word is not None:
            self._judge_failure(Reason(word.body["reason"]), word.body["message"])
        else:
            exit_code = self._trainer.exit_code
            assert exit_code is not None
            self._give_up(Reason.TRAINER_DIED, f"The trainer was {describe_exit(exit_code)}.")

    def _stopped_as_asked(self, kind: Kind | None) -> bool:
        """One that fails on the way to a pause has failed; whoever cancels, or shuts the worker
        down, is not kept waiting for that."""
        return kind is not Kind.FAILED or self._draining() or self._cancelled()

    def _cancelled(self) -> bool:
        return self._lease.wish.desired is Desired.CANCEL

    def _judge_stop(self, word: Message | None) -> None:
        """With a checkpoint of this very step, or with an older one if it did not come in time."""
        over = self._times.over()
        if self._draining():
            hand_back(self._database, self._claim, Reason.DRAINED)
        elif over is None or self._lease.wish.desired is not Desired.RUN:
            hand_back(self._database, self._claim, Reason.RESUMED_BY_USER)
        elif over.reason is Reason.BUDGET_EXHAUSTED:
            self._succeed(word, over.reason, over.message)
        else:
            finish(
                self._database,
                self._claim,
                JobStatus.FAILED,
                over.reason,
                message=over.message,
                exit_code=self._trainer.exit_code,
            )

    def _succeed(self, word: Message | None, reason: Reason, message: str | None) -> None:
        body = {} if word is None else word.body
        succeed(
            self._database,
            self._claim,
            weights_sha256=body.get("weights_sha256"),
            reason=reason,
            message=message,
            step=body.get("step"),
        )

    def _judge_failure(self, reason: Reason, message: str) -> None:
        if reason in NOT_RETRIED:
            code = self._trainer.exit_code
            finish(
                self._database,
                self._claim,
                JobStatus.FAILED,
                reason,
                message=message,
                exit_code=code,
            )
        else:
            self._give_up(reason, message)

    def _give_up(self, reason: Reason, message: str) -> None:
        give_up_attempt(
            self._database,
            self._settings,
            self._claim,
            reason,
            message=message,
            exit_code=self._trainer.exit_code,
            log=self._trainer.log_tail(),
        )


def _grace(wish: Wish) -> float:
    return STOP_GRACE_SECONDS if wish.grace_seconds is None else wish.grace_seconds
