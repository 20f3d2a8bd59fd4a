"""Negative controls: a defect, and the invariant that has to break by it, named beforehand.

One that breaks nothing, or something else first, means that the campaign would not see the defect.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.client import Client, Submission
from benchmarks.reliability.deliveries import BELLS, twice_answered
from benchmarks.reliability.family import Family
from benchmarks.reliability.jobs import tiny
from benchmarks.reliability.lasting import StoppedWorker
from benchmarks.reliability.leftovers import left_after
from benchmarks.reliability.service import Layout, Service, running
from benchmarks.reliability.snapshot import OpenJob, Snapshot, is_locked, look
from benchmarks.reliability.watch import Findings, Watch
from benchmarks.servers import valkey_server
from store.database import Database

TICK_SECONDS = 0.2
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Control:
    name: str
    breaks: str  # the invariant
    layout: Layout
    job: dict[str, Any]
    stop_a_worker: bool = False  # beyond its lease, until its successor is at work
    ahead: int = 0  # steps that the successor must be ahead then


CONTROLS: Mapping[str, Control] = {
    control.name: control
    for control in (
        Control(
            name="no_fencing",
            breaks="I3",
            layout=Layout(workers=2, reconcilers=1, sabotage="no_fencing"),
            # No checkpoint meanwhile: what a zombie hands in first is a metric.
            job=tiny("Pendulum-v1", 3, 9000, checkpointing={"every_steps": 9000}),
            stop_a_worker=True,
        ),
        Control(
            name="shared_file_name",
            breaks="I4",
            layout=Layout(workers=2, reconcilers=1, sabotage="shared_file_name"),
            job=tiny("Pendulum-v1", 3, 9000, checkpointing={"every_steps": 25, "keep": 100}),
            stop_a_worker=True,
            ahead=100,
        ),
        Control(
            name="in_place_write",
            breaks="I4",
            layout=Layout(workers=1, reconcilers=1, sabotage="in_place_write"),
            job=tiny("Pendulum-v1", 3, 9000),
        ),
        Control(
            name="reconciler_off",
            breaks="I6",
            layout=Layout(workers=1, reconcilers=0),
            job=tiny("Pendulum-v1", 3, 700),
        ),
        Control(
            name="late_ack",
            breaks=BELLS,
            layout=Layout(workers=2, reconcilers=1, sabotage="late_ack"),
            job=tiny("Pendulum-v1", 3, 9000),
        ),
    )
}


class Scene:
    """A service with a defect, one job, and all that the campaign looks at."""

    def __init__(self, control: Control, service: Service, say: Callable[[str], None]) -> None:
        self._service = service
        self._control = control
        self._client = Client(service.url)
        self._watch = Watch(Database(service.settings.database_url), service, 0.0, Findings(say))
        self._seen = Snapshot()

    def play(self) -> set[str]:
        """The invariants that were the first to break; none if nothing did in time."""
        self._client.submit(Submission("control", "", self._control.job, twice=False))
        until = time.monotonic() + PATIENCE_SECONDS
        steps = self._steps()
        while not self._watch.findings.invariants and time.monotonic() < until:
            time.sleep(TICK_SECONDS)
            self._service.watch()
            self._seen = look(self._watch.database) or Snapshot()
            next(steps)
            self._watch.sample(outage=False, files=True)
            self._watch.findings.add(twice_answered(self._service.settings.log_dir))
        self._client.close()
        return self._watch.findings.invariants

    def _steps(self) -> Iterator[None]:
        """One step of the scenario each time it is asked."""
        if self._control.stop_a_worker:
            while (job := self._training()) is None:
                yield
            worker = next(w for w in self._service.workers if f"-{w.pid}" in (job.worker or ""))
            family = Family.of(worker.pid)
            family.stop()
            while self._in_the_middle():
                family.wake()
                yield
                family.stop()
            # The trainer first: its supervisor kills it when it finds out.
            stopped = StoppedWorker(worker, family, job, trainer_first=True)
            while not (stopped.due(self._seen) and self._is_ahead_of(job)):
                yield
            stopped.end()
        while True:
            yield

    def _in_the_middle(self) -> bool:
        """Of a transaction, so that nobody can take the job; or of a checkpoint, which the
        successor sweeps away."""
        settings = self._service.settings
        return is_locked(settings.database_url) or any(settings.artifact_dir.glob("*/.tmp-*"))

    def _is_ahead_of(self, job: OpenJob) -> bool:
        now = self._training()
        return now is not None and now.step > job.step + self._control.ahead

    def _training(self) -> OpenJob | None:
        return next((job for job in self._seen.jobs if job.trains), None)


def run_control(control: Control, folder: Path, say: Callable[[str], None]) -> int:
    """0 when the invariant that was named broke, and no other."""
    say(f"{control.name} has to break {control.breaks}")
    mark = f"{os.getpid()}-{time.time_ns()}"
    with valkey_server(persistent=True) as broker:
        service = Service(folder / "data", "", broker, control.layout, mark, say)
        with running(service):
            scene = Scene(control, service, say)
            broken = scene.play()
    left = left_after(mark, seconds=20.0)
    for each in left:
        each.kill()
    as_named = broken == {control.breaks}
    say(f"{control.name} broke {', '.join(sorted(broken)) or 'nothing'}; left: {len(left)}")
    return 0 if as_named and not left else 1
