"""Three workers with their trainers: they claim, hand in, end, die, and wake as zombies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from store.endings import finish, give_up_attempt, hand_back
from store.failures import RETRIES, Retry
from store.ownership import claim_next, renew, resumable_checkpoints, start_from
from store.policies import succeed
from store.results import (
    record_fidelity,
    record_peak_memory,
    record_progress,
    record_training_checkpoint,
    record_warning,
)
from store.states import Fidelity, JobStatus, Reason
from tests.protocol.model import INFRASTRUCTURE, KEPT, Made, NotTheOwner
from tests.protocol.world import REPORT_EVERY, Hold, World, folder_name, metric_rows
from tests.store.acting import evaluate

WORKERS = ("w1", "w2", "w3")
ERRORS = sorted(reason for reason, retry in RETRIES.items() if retry is Retry.NEVER)
ANY = st.integers(0, 11)  # of what there is, counted around
WORKER = st.sampled_from(WORKERS)
FREE = precondition(lambda self: len(self.holds) < len(WORKERS))
BUSY = precondition(lambda self: bool(self.holds))
TRAINING = precondition(lambda self: any(hold.started for hold in self.holds.values()))


class Workers(RuleBasedStateMachine):
    world: World
    holds: dict[str, Hold]
    asleep: list[Hold]  # stopped, cut off or fenced; they may wake

    @FREE
    @precondition(lambda self: bool(self.world.bells.rung))
    @rule()
    def answer_bell(self) -> None:
        """Whichever job it was rung for: the database decides."""
        self.world.bells.rung.pop(0)
        self.claim_without_bell()

    @FREE
    @rule()
    def claim_without_bell(self) -> None:
        """As by a bell that was doubled, or for a job that is gone."""
        world = self.world
        worker = next(name for name in WORKERS if name not in self.holds)
        first = next((i for i, job in world.jobs.items() if job.waits(world.now)), None)
        claim = claim_next(world.database, world.settings, worker, "host1")
        if first is None:
            assert claim is None
            return
        job = world.jobs[first]
        job.claim(world.now)
        assert claim is not None
        assert (claim.job_id, claim.epoch) == (first, job.epoch)
        self.holds[worker] = Hold(worker, claim, job)

    @BUSY
    @rule(worker=WORKER, passed_over=st.sampled_from([0, 0, 0, 1]))
    def start(self, worker: str, passed_over: int) -> None:
        """From the newest checkpoint that can be read."""
        hold, world = self._hold(worker, started=False), self.world
        if hold is None:
            return
        with world.database.read() as session:
            readable = resumable_checkpoints(session, hold.claim)
        known = sorted(hold.job.training, reverse=True)
        assert [Made(each.attempt, each.step) for each in readable] == known
        readable = readable[passed_over:] or readable
        checkpoint = readable[0] if readable else None
        made = Made(checkpoint.attempt, checkpoint.step) if checkpoint else None

        def write() -> None:
            start_from(world.database, hold.claim, checkpoint)

        with self._may_lose(hold):
            world.as_owner(hold, lambda epoch: hold.job.start(epoch, made), write)
            hold.started, hold.step = True, made.step if made else 0
            world.sweep(hold)

    @TRAINING
    @rule(worker=WORKER, reports=st.integers(1, 4))
    def train(self, worker: str, reports: int) -> None:
        if (hold := self._hold(worker)) is None:
            return
        until = min(hold.job.total_steps, hold.step + reports * REPORT_EVERY)
        steps = [*range(hold.step + REPORT_EVERY, until + 1, REPORT_EVERY)]
        if steps:
            with self._may_lose(hold):
                self._progress(hold, steps)
                hold.step, hold.told = steps[-1], steps

    @TRAINING
    @rule(worker=WORKER)
    def repeat_progress(self, worker: str) -> None:
        """The answer to the first time was lost."""
        hold = self._hold(worker)
        if hold is not None and hold.told:
            with self._may_lose(hold):
                self._progress(hold, hold.told)

    def _progress(self, hold: Hold, steps: list[int]) -> None:
        wish = self.world.as_owner(
            hold,
            lambda epoch: hold.job.progress(epoch, steps),
            lambda: record_progress(
                self.world.database,
                hold.claim,
                step=steps[-1],
                steps_per_second=None,
                rows=metric_rows(steps),
            ),
        )
        assert (wish.desired, wish.grace_seconds) == (hold.job.desired, hold.job.grace)

    @TRAINING
    @rule(worker=WORKER, mean=st.sampled_from([1.0, 2.0, 3.0]))
    def evaluate(self, worker: str, mean: float) -> None:
        hold = self._hold(worker)
        if hold is None or hold.step in hold.evaluated:
            return
        with self._may_lose(hold):
            self._evaluate(hold, mean)
            hold.evaluated.add(hold.step)

    def _evaluate(self, hold: Hold, mean: float) -> None:
        self.world.as_owner(
            hold,
            lambda epoch: hold.job.evaluate(epoch, hold.step, mean),
            lambda: evaluate(self.world.database, hold.claim, hold.step, mean, keep=KEPT),
        )

    @TRAINING
    @rule(worker=WORKER, cleans_up=st.booleans())
    def save(self, worker: str, cleans_up: bool) -> None:
        hold = self._hold(worker)
        if hold is None or self._has_folder(hold):
            return
        with self._may_lose(hold):
            dropped = self._save(hold)
            if cleans_up:
                self.world.remove_folders(hold, dropped)

    def _save(self, hold: Hold) -> set[Made]:
        world, dropped = self.world, set[Made]()
        stored = world.write_folder(hold, hold.step)
        world.as_owner(
            hold,
            lambda epoch: dropped.update(hold.job.checkpoint(epoch, hold.step)),
            lambda: record_training_checkpoint(
                world.database, hold.claim, hold.step, stored, keep=KEPT
            ),
        )
        return dropped

    @BUSY
    @rule(worker=WORKER)
    def renew(self, worker: str) -> None:
        if (hold := self._hold(worker, started=None)) is not None:
            with self._may_lose(hold):
                self._renew(hold)

    def _renew(self, hold: Hold) -> None:
        wish = self.world.as_owner(
            hold,
            lambda epoch: hold.job.renew(epoch, self.world.now),
            lambda: renew(self.world.database, self.world.settings, hold.claim),
        )
        assert (wish.desired, wish.grace_seconds) == (hold.job.desired, hold.job.grace)

    @TRAINING
    @rule(worker=WORKER)
    def finish(self, worker: str) -> None:
        """At the end of its budget, or earlier with its target reached."""
        if (hold := self._hold(worker)) is not None:
            with self._may_lose(hold):
                self._succeed(hold)
                del self.holds[hold.worker]

    def _succeed(self, hold: Hold) -> None:
        done = hold.step >= hold.job.total_steps
        reason = Reason.BUDGET_EXHAUSTED if done else Reason.TARGET_REACHED
        weights = f"weights of step {hold.step}"
        self.world.as_owner(
            hold,
            lambda epoch: hold.job.succeed(epoch, self.world.now, reason, hold.step, weights),
            lambda: succeed(
                self.world.database,
                hold.claim,
                weights_sha256=weights,
                reason=reason,
                step=hold.step,
            ),
        )

    @BUSY
    @rule(worker=WORKER, reason=st.sampled_from(ERRORS))
    def fail(self, worker: str, reason: Reason) -> None:
        if (hold := self._hold(worker, started=None)) is not None:
            with self._may_lose(hold):
                self._fail(hold, reason)
                del self.holds[hold.worker]

    def _fail(self, hold: Hold, reason: Reason) -> None:
        failed = JobStatus.FAILED
        self.world.as_owner(
            hold,
            lambda epoch: hold.job.fail(epoch, self.world.now, reason),
            lambda: finish(self.world.database, hold.claim, failed, reason, message="it broke"),
        )

    @BUSY
    @rule(worker=WORKER, reason=st.sampled_from(sorted(INFRASTRUCTURE)))
    def give_up(self, worker: str, reason: str) -> None:
        if (hold := self._hold(worker, started=None)) is not None:
            with self._may_lose(hold):
                self._give_up(hold, Reason(reason))
                del self.holds[hold.worker]

    def _give_up(self, hold: Hold, reason: Reason) -> None:
        self.world.as_owner(
            hold,
            lambda epoch: hold.job.give_up(epoch, self.world.now, reason),
            lambda: give_up_attempt(
                self.world.database,
                self.world.settings,
                hold.claim,
                reason,
                message="it died",
                exit_code=-9,
            ),
        )

    @BUSY
    @rule(worker=WORKER, reason=st.sampled_from([Reason.DRAINED, Reason.RESUMED_BY_USER]))
    def hand_back(self, worker: str, reason: Reason) -> None:
        """The trainer has stopped, as the user or the worker's shutdown asked."""
        if (hold := self._hold(worker, started=None)) is not None:
            with self._may_lose(hold):
                self._hand_back(hold, reason)
                del self.holds[hold.worker]

    def _hand_back(self, hold: Hold, reason: Reason) -> None:
        self.world.as_owner(
            hold,
            lambda epoch: hold.job.hand_back(epoch, self.world.now, reason),
            lambda: hand_back(self.world.database, hold.claim, reason),
        )

    @BUSY
    @rule(worker=WORKER, while_writing=st.booleans())
    def fall_asleep(self, worker: str, while_writing: bool) -> None:
        """Or die: nobody can tell, until it wakes. Perhaps with a folder that has no row yet."""
        if (hold := self._hold(worker, started=None)) is not None:
            self.asleep.append(self.holds.pop(hold.worker))
            if while_writing:
                self._leave_folder(hold)

    @BUSY
    @rule(worker=WORKER, while_writing=st.booleans(), wakes=st.booleans())
    def be_taken_over(self, worker: str, while_writing: bool, wakes: bool) -> None:
        """Asleep beyond its lease, and beyond the pause until the job is another's."""
        if (hold := self._hold(worker, started=None)) is None:
            return
        self.fall_asleep(worker, while_writing)
        self.world.clock.now = max(self.world.now, hold.job.lease_until) + 1
        self.world.reap()
        self.world.clock.now = max(self.world.now, hold.job.not_before)
        self.claim_without_bell()
        if wakes:
            self.wake(self.asleep.index(hold))

    @precondition(lambda self: bool(self.asleep))
    @rule(index=ANY)
    def wake(self, index: int) -> None:
        """An owner still goes on; a zombie tries every kind of write."""
        hold = self.asleep[index % len(self.asleep)]
        if hold.job.status == "running" and hold.job.epoch == hold.claim.epoch:
            self._renew(hold)
            if len(self.holds) < len(WORKERS):
                self.asleep.remove(hold)
                worker = next(name for name in WORKERS if name not in self.holds)
                hold.worker = worker
                self.holds[worker] = hold
            return
        for write in self._every_kind_of_write(hold):
            try:
                write()
            except NotTheOwner:  # the model said so, and the store had refused it
                continue
            raise AssertionError("the model lets a zombie write")

    def _every_kind_of_write(self, hold: Hold) -> list[Callable[[], object]]:
        database, claim, epoch = self.world.database, hold.claim, hold.job.require_owner
        as_owner = self.world.as_owner
        return [
            lambda: self._renew(hold),
            lambda: as_owner(hold, epoch, lambda: start_from(database, claim, None)),
            lambda: self._progress(hold, [hold.step + REPORT_EVERY]),
            lambda: self._evaluate(hold, 9.0),
            *([] if self._has_folder(hold) else [lambda: self._save(hold)]),
            lambda: as_owner(hold, epoch, lambda: record_warning(database, claim, "late")),
            lambda: as_owner(hold, epoch, lambda: record_fidelity(database, claim, Fidelity.EXACT)),
            lambda: as_owner(hold, epoch, lambda: record_peak_memory(database, claim, 1)),
            lambda: self._succeed(hold),
            lambda: self._fail(hold, Reason.NON_FINITE),
            lambda: self._give_up(hold, Reason.TRAINER_DIED),
            lambda: self._hand_back(hold, Reason.DRAINED),
        ]

    def _leave_folder(self, hold: Hold) -> None:
        if not self._has_folder(hold):
            self.world.write_folder(hold, hold.step)

    def _has_folder(self, hold: Hold) -> bool:
        made = Made(hold.claim.epoch, hold.step)
        return folder_name(hold.claim.job_id, made) in self.world.folders

    def _hold(self, worker: str, *, started: bool | None = True) -> Hold | None:
        """Of this worker, or of the next one that has such a one."""
        first = WORKERS.index(worker)
        for name in WORKERS[first:] + WORKERS[:first]:
            hold = self.holds.get(name)
            if hold is not None and started in (None, hold.started):
                return hold
        return None

    @contextmanager
    def _may_lose(self, hold: Hold) -> Iterator[None]:
        """One that is refused kills its trainer; what it was about to do is not done."""
        try:
            yield
        except NotTheOwner:
            self.asleep.append(self.holds.pop(hold.worker))
