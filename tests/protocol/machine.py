"""Users, two reconcilers, a broker and time around the workers, in any order."""

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from store.bells import jobs_to_ring, mark_rung
from store.cloning import cloned_spec
from store.errors import IdempotencyKeyReused, InvalidInput, TransitionRefused
from store.extension import extend_job
from store.jobs import get_job, submit_job
from store.lifecycle import cancel_job, pause_job, resume_job, retry_job
from store.spec import JobSpec
from store.tables import Job
from tests.protocol.model import ModelJob, Refused
from tests.protocol.working import ANY, Workers
from tests.protocol.world import World, short_spec
from worker.reconciler import Reconciler

MOST_JOBS = 4
JOBS_EXIST = precondition(lambda self: bool(self.world.jobs))
ROOM = precondition(lambda self: len(self.world.jobs) < MOST_JOBS)


class Protocol(Workers):
    make_world: Callable[[], World]  # set by who runs it
    done: ClassVar[Counter[str]]  # `runs` and `steps`

    @initialize(count=st.integers(1, 2))
    def begin(self, count: int) -> None:
        self.world = type(self).make_world()
        self.holds, self.asleep = {}, []
        self.keys: dict[str, str] = {}
        self.looked: list[Job] = []  # by a reconciler that is slow to ring
        self.steps = 0
        for _ in range(count):
            self.submit(None)

    # Users.

    @ROOM
    @rule(key=st.sampled_from([None, "k1", "k2"]))
    def submit(self, key: str | None) -> None:
        spec = short_spec(100)
        job, new = submit_job(self.world.database, spec, idempotency_key=key, body=b"it")
        assert new == (key not in self.keys)
        if new:
            self.world.add(job.id, 100)
        else:
            assert job.id == self.keys[key or ""]
        if key is not None:
            self.keys[key] = job.id

    @precondition(lambda self: bool(self.keys))
    @rule()
    def submit_another_body_under_a_used_key(self) -> None:
        key = min(self.keys)
        with pytest.raises(IdempotencyKeyReused):
            submit_job(self.world.database, short_spec(75), idempotency_key=key, body=b"other")

    @ROOM
    @JOBS_EXIST
    @rule(of=ANY, total_steps=st.sampled_from([50, 100]))
    def clone(self, of: int, total_steps: int) -> None:
        job_id, _ = self._job(of)
        with self.world.database.read() as session:
            body = cloned_spec(
                get_job(session, job_id).spec, {"budget": {"total_steps": total_steps}}
            )
        spec = JobSpec.model_validate(body)
        self.world.add(submit_job(self.world.database, spec, cloned_from=job_id)[0].id, total_steps)

    @JOBS_EXIST
    @rule(of=ANY, grace=st.sampled_from([None, 0.0, 5.0, 90.0]))
    def cancel(self, of: int, grace: float | None) -> None:
        job_id, job = self._job(of)
        ask = partial(cancel_job, self.world.database, job_id, grace_seconds=grace)
        self._ask(lambda: job.cancel(self.world.now, grace), ask)

    @JOBS_EXIST
    @rule(of=ANY)
    def pause(self, of: int) -> None:
        job_id, job = self._job(of)
        self._ask(job.pause, lambda: pause_job(self.world.database, job_id))

    @JOBS_EXIST
    @rule(of=ANY)
    def resume(self, of: int) -> None:
        job_id, job = self._job(of)
        self._ask(job.resume_by_user, lambda: resume_job(self.world.database, job_id))

    @JOBS_EXIST
    @rule(of=ANY)
    def retry(self, of: int) -> None:
        job_id, job = self._job(of)
        self._ask(job.retry, lambda: retry_job(self.world.database, job_id))

    @JOBS_EXIST
    @rule(of=ANY, more=st.sampled_from([25, 50, 0]))
    def extend(self, of: int, more: int) -> None:
        job_id, job = self._job(of)
        total = job.total_steps + more
        ends = {"total_steps": total}
        ask = partial(extend_job, self.world.database, self.world.settings, job_id, ends)
        self._ask(lambda: job.extend(total), ask)

    def _ask(self, predict: Callable[[], None], ask: Callable[[], Job]) -> None:
        try:
            predict()
        except Refused:
            with pytest.raises((TransitionRefused, InvalidInput)):
                ask()
        else:
            ask()

    def _job(self, index: int) -> tuple[str, ModelJob]:
        return [*self.world.jobs.items()][index % len(self.world.jobs)]

    # Broker and reconcilers.

    @rule()
    def reconcile(self) -> None:
        """One turn of the real one, which reaps and rings."""
        world = self.world
        self.world.predict_reap()
        due = self._due()
        waiting = sum(job.status == "queued" for job in world.jobs.values())
        rung = due[: max(0, waiting - len(world.bells.rung))]
        expected = [*world.bells.rung, *rung]
        for job_id in due:
            world.jobs[job_id].mark_rung(world.now)
        Reconciler(world.database, world.settings, world.bells).turn()
        assert world.bells.rung == expected
        world.reconciled_at = world.now

    @rule()
    def reap(self) -> None:
        self.world.reap()

    @rule()
    def look_for_whom_to_ring(self) -> None:
        """The other reconciler, which comes to ring only later."""
        self.looked = jobs_to_ring(self.world.database, self.world.settings)
        assert [job.id for job in self.looked] == self._due()

    @precondition(lambda self: bool(self.looked))
    @rule()
    def ring_late(self) -> None:
        for job in self.looked:
            self.world.bells.ring(job.id)
            self.world.jobs[job.id].mark_rung(self.world.now)
            mark_rung(self.world.database, job)
        self.looked = []

    @precondition(lambda self: bool(self.world.bells.rung))
    @rule(index=ANY)
    def lose_bell(self, index: int) -> None:
        rung = self.world.bells.rung
        rung.pop(index % len(rung))

    @precondition(lambda self: 0 < len(self.world.bells.rung) < 6)
    @rule(index=ANY)
    def double_bell(self, index: int) -> None:
        rung = self.world.bells.rung
        rung.append(rung[index % len(rung)])

    def _due(self) -> list[str]:
        return [i for i, job in self.world.jobs.items() if job.due(self.world.now)]

    # Time.

    @rule(seconds=st.sampled_from([0.5, 4, 6, 31, 59, 61, 130, 310]))
    def wait(self, seconds: float) -> None:
        self.world.clock.now += round(seconds * 1000)

    @rule()
    def collect_garbage(self) -> None:
        self.world.collect_garbage()

    # After each step, and at the end.

    @invariant()
    def the_model_agrees(self) -> None:
        if hasattr(self, "world"):
            self.world.require_agreement()
            self.world.clock.now += 1
            self.steps += 1

    def teardown(self) -> None:
        if hasattr(self, "world") and sys.exc_info()[0] is None:
            self.nothing_is_lost()
            self.done.update(runs=1, steps=self.steps)

    def nothing_is_lost(self) -> None:
        """Whatever was killed: with workers and a reconciler, every job that may run ends well."""
        self.asleep += self.holds.values()
        self.holds.clear()
        self.world.clock.now += 310_000  # longer than any lease and any pause
        self.reconcile()
        for index in range(len(self.world.jobs)):
            if self._job(index)[1].status == "paused":
                self.resume(index)
        waiting = [job for job in self.world.jobs.values() if job.status == "queued"]
        self.world.clock.now += 310_000
        self.reconcile()
        for _ in waiting:
            self.answer_bell()
            (worker,) = self.holds
            self.start(worker, 0)
            self.train(worker, 100)
            self.finish(worker)
        assert {job.status for job in waiting} <= {"succeeded"}
        self.world.clock.now += 130_000
        self.collect_garbage()
        self.world.require_agreement()
        kept = sum(len(job.training) for job in self.world.jobs.values())
        assert len(self.world.folders) == kept, "a folder that no row names is left"
