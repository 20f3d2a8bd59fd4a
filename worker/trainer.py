"""The process that trains: a fresh one per attempt, the only one that loads torch.

It reads its order from standard input, says what happens on the pipe it was given, and writes
checkpoint folders. It knows no database: what it says becomes true when the supervisor commits it.
"""

import faulthandler
import json
import os
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, assert_never

import torch
from safetensors import SafetensorError

from mrq_core.errors import EnvironmentFault, MissingPackage, NonFiniteError, ResumeError
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Progressed, Started, Stopped
from mrq_core.spaces import SpaceError
from mrq_core.training import train
from store.artifacts import GENERATIONS, NO_SPACE, ArtifactFolder
from store.catalogue import use_own_environments
from store.catalogue.own import register_own
from store.processes import die_with_parent
from store.spec import JobSpec
from store.states import Reason
from store.training_runs import training_run
from worker.channel import STACK_SIGNAL, Kind, Message, Order, StopRequest, send

PACE_WINDOW_SECONDS = 30.0
ALIVE_SECONDS = 5.0


class Pace:
    """Steps per second over a recent window: the random warm-up is fast and says nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()

    def at(self, step: int) -> float | None:
        now = self._clock()
        self._marks.append((now, step))
        # The last mark before the window stays: reports may be further apart than the window.
        while len(self._marks) > 2 and now - self._marks[1][0] > PACE_WINDOW_SECONDS:
            self._marks.popleft()
        seconds = now - self._marks[0][0]
        return (step - self._marks[0][1]) / seconds if seconds > 0 else None


class Beacon:
    """Asked before every step whether to stop, it also tells the supervisor that work is done.

    Events come by steps, so a slow environment may be silent for long and yet not hang; so may a
    long evaluation, or 250 updates of a large encoder.
    """

    def __init__(self, stop: Callable[[], bool], say_alive: Callable[[int], None]) -> None:
        """`say_alive` is told how many steps were begun in this attempt."""
        self._stop = stop
        self._say_alive = say_alive
        self._asked = 0
        self._signs = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def __call__(self) -> bool:
        self._asked += 1
        self.alive()
        return self._stop()

    def alive(self) -> None:
        self._signs += 1

    def _watch(self) -> None:
        seen = 0
        while True:
            time.sleep(ALIVE_SECONDS)
            if self._signs != seen:
                seen = self._signs
                self._say_alive(self._asked)


class Reporter:
    """Turns events into messages, and checkpoints into folders."""

    def __init__(self, stream: IO[bytes], order: Order) -> None:
        self._stream = stream
        self._lock = threading.Lock()  # the beacon speaks from its own thread
        self._order = order
        self._artifacts = ArtifactFolder(
            Path(order.artifact_dir),
            reserve_bytes=order.reserve_bytes,
            last_size=order.last_size,
        )
        self._pace = Pace()
        # The last ones, the oldest first. Two are kept always, so the next may share files with the
        # older of them.
        self._checkpoints: deque[Path] = deque(maxlen=GENERATIONS)
        if order.resume_from is not None:
            self._checkpoints.append(Path(order.resume_from))

    def report(self, event: Event) -> None:
        self._send(self._message(event))

    def say_alive(self, steps: int) -> None:
        with suppress(OSError, ValueError):  # the stream may be closed already
            self._send(Message(Kind.ALIVE, {"steps": steps}))

    def _send(self, message: Message) -> None:
        with self._lock:
            send(self._stream, message)

    def _message(self, event: Event) -> Message:
        match event:
            case Started():
                return Message(Kind.STARTED, asdict(event))
            case Progressed(step=step, metrics=metrics):
                pace = self._pace.at(step)
                body = {"step": step, "metrics": dict(metrics), "steps_per_second": pace}
                return Message(Kind.PROGRESS, body)
            case Evaluated():
                return self._evaluation(event)
            case CheckpointDue(step=step, state=state):
                job, epoch = self._order.job_id, self._order.epoch
                complete = len(self._checkpoints) == GENERATIONS
                previous = self._checkpoints[0] if complete else None
                stored = self._artifacts.write(
                    job, epoch, step, lambda folder: state.save(folder, previous)
                )
                self._checkpoints.append(self._artifacts.root / stored.folder)
                return Message(Kind.CHECKPOINT, {"step": step, "stored": asdict(stored)})
            case Finished():
                return Message(Kind.FINISHED, asdict(event))
            case Stopped():
                return Message(Kind.STOPPED, asdict(event))
            case _:
                assert_never(event)

    def _evaluation(self, event: Evaluated) -> Message:
        bundle = event.export_policy()
        body = {
            "step": event.step,
            "returns": list(event.returns),
            "lengths": list(event.lengths),
            "seeds": list(event.seeds),
            "action_mode": event.action_mode,
            "estimate": None if event.estimate is None else event.estimate.to_json(),
            "manifest": bundle.manifest,
            "policy_bytes": len(bundle.onnx),
        }
        return Message(Kind.EVALUATION, body, bundle.onnx + (bundle.model or b""))


def run(order: Order, stop: StopRequest, stream: IO[bytes]) -> None:
    torch.set_num_threads(order.threads)
    reporter = Reporter(stream, order)
    use_own_environments(None if order.environments_file is None else Path(order.environments_file))
    spec = JobSpec.model_validate(order.spec)
    if spec.environment.entry.entry_point:
        register_own(spec.environment.entry)
    resume_from = None if order.resume_from is None else Path(order.resume_from)
    begin_from = None if order.begin_from is None else Path(order.begin_from)
    beacon = Beacon(stop, reporter.say_alive)
    events: Iterator[Event] = train(
        training_run(spec, order.device, order.dataset),
        resume_from=resume_from,
        begin_from=begin_from,
        stop=beacon,
        alive=beacon.alive,
    )
    for event in events:
        reporter.report(event)


def reason_for(error: BaseException, *, begins: bool = False) -> Reason:
    """`begins`: with another job's checkpoint, whose files are as its row says."""
    match error:
        case ResumeError() if begins:
            return Reason.SPEC_INVALID
        case NonFiniteError():
            return Reason.NON_FINITE
        case MissingPackage():
            return Reason.SPEC_INVALID
        case EnvironmentFault() | SpaceError():
            return Reason.ENVIRONMENT_ERROR
        case ResumeError():
            return Reason.CHECKPOINT_CORRUPT
        case torch.OutOfMemoryError():
            return Reason.GPU_OUT_OF_MEMORY
        case MemoryError():
            return Reason.HOST_OUT_OF_MEMORY
        case RuntimeError() if "DefaultCPUAllocator" in str(error):  # torch's own way to say it
            return Reason.HOST_OUT_OF_MEMORY
        case OSError(errno=number):
            return Reason.STORAGE_FULL if number in NO_SPACE else Reason.STORAGE_ERROR
        case SafetensorError() if found := re.search(r"\(os error (\d+)\)", str(error)):
            return Reason.STORAGE_FULL if int(found[1]) in NO_SPACE else Reason.STORAGE_ERROR
        case _:
            return Reason.INTERNAL_ERROR


def main() -> int:
    die_with_parent(int(sys.argv[1]))
    faulthandler.register(STACK_SIGNAL)
    with os.fdopen(int(sys.argv[2]), "wb") as stream:
        order = Order(**json.loads(sys.stdin.readline()))
        try:
            run(order, StopRequest(sys.stdin), stream)
        except Exception as error:
            traceback.print_exc()  # to the attempt's log
            reason = reason_for(error, begins=order.begin_from is not None)
            body = {"reason": reason, "message": f"{type(error).__name__}: {error}"}
            send(stream, Message(Kind.FAILED, body))
            return 1
    return 0
