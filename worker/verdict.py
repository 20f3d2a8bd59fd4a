"""How an attempt ended, and which transaction says so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from store.database import Database
from store.endings import finish, give_up_attempt, hand_back
from store.failures import Fault, fault_of
from store.ownership import Claim
from store.policies import succeed
from store.processes import describe_exit
from store.results import record_peak_memory
from store.settings import Settings
from store.states import Desired, JobStatus, Reason
from worker.channel import Kind, Message
from worker.time_limits import Over
from worker.trainer_process import TrainerProcess

# How a run ended by itself.
ENDS: Mapping[str, Reason] = {
    "steps": Reason.BUDGET_EXHAUSTED,
    "episodes": Reason.EPISODES_EXHAUSTED,
    "target": Reason.TARGET_REACHED,
}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was seen of a trainer that has ended."""

    last_word: Message | None  # finished, stopped or failed; None: it died
    stop_asked: bool
    desired: Desired
    over: Over | None
    silence: str | None  # for which it was killed

    @property
    def kind(self) -> Kind | None:
        return None if self.last_word is None else self.last_word.kind


class Judge:
    def __init__(
        self,
        database: Database,
        settings: Settings,
        claim: Claim,
        trainer: TrainerProcess,
        draining: Callable[[], bool],
    ) -> None:
        self._database = database
        self._settings = settings
        self._claim = claim
        self._trainer = trainer
        self._draining = draining

    def record_peak_memory(self) -> None:
        record_peak_memory(self._database, self._claim, self._trainer.peak_memory_bytes)

    def judge(self, seen: Observed) -> None:
        word = seen.last_word
        if word is not None and seen.kind is Kind.FINISHED:
            self._succeed(word, ENDS[word.body["end"]])
        elif seen.stop_asked and self._stopped_as_asked(seen):
            self._judge_stop(seen)
        elif seen.silence is not None:
            self._give_up(Reason.NO_PROGRESS, seen.silence)
        elif word is not None:
            self._judge_failure(Reason(word.body["reason"]), word.body["message"])
        else:
            self._judge_death()

    def _stopped_as_asked(self, seen: Observed) -> bool:
        """One that fails on the way to a pause has failed; whoever cancels, or shuts the worker
        down, is not kept waiting for that."""
        hurried = self._draining() or seen.desired is Desired.CANCEL
        return seen.kind is not Kind.FAILED or hurried

    def _judge_stop(self, seen: Observed) -> None:
        """With a checkpoint of this very step, or with an older one if it did not come in time."""
        over = seen.over
        if self._draining():
            hand_back(self._database, self._claim, Reason.DRAINED)
        elif over is None or seen.desired is not Desired.RUN:
            hand_back(self._database, self._claim, Reason.RESUMED_BY_USER)
        elif over.reason is not Reason.SECONDS_EXHAUSTED:
            self._fail(over.reason, over.message)
        elif seen.last_word is not None:
            self._succeed(seen.last_word, over.reason, over.message)
        else:  # the next attempt will find the time over, and save what there is
            self._judge_death()

    def _judge_failure(self, reason: Reason, message: str) -> None:
        if fault_of(reason) is Fault.ERROR:
            self._fail(reason, message)
        else:
            self._give_up(reason, message)

    def _judge_death(self) -> None:
        exit_code = self._trainer.exit_code
        assert exit_code is not None
        message = f"The trainer was {describe_exit(exit_code)}."
        if self._trainer.ran_out_of_memory:
            text = f"{message} The host, or this worker's share of it, had no memory left."
            self._give_up(Reason.HOST_OUT_OF_MEMORY, text)
        else:
            self._give_up(Reason.TRAINER_DIED, message)

    def _succeed(self, word: Message, reason: Reason, message: str | None = None) -> None:
        succeed(
            self._database,
            self._claim,
            weights_sha256=word.body["weights_sha256"],
            reason=reason,
            message=message,
            step=word.body["step"],
        )

    def _fail(self, reason: Reason, message: str) -> None:
        finish(
            self._database,
            self._claim,
            JobStatus.FAILED,
            reason,
            message=message,
            exit_code=self._trainer.exit_code,
        )

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
