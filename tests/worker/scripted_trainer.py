"""A trainer that learns nothing and misbehaves as its job's name says. It speaks the real protocol.

Started by the supervisor in place of `worker.trainer`, as a process of its own.
"""

import faulthandler
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO, Any

from store.artifacts import ArtifactFolder
from store.processes import die_with_parent
from store.states import Reason
from worker.channel import STACK_SIGNAL, Kind, Message, Order, StopRequest, send


def _checkpoint(stream: IO[bytes], order: Order, step: int) -> None:
    stored = ArtifactFolder(Path(order.artifact_dir)).write(
        order.job_id, order.epoch, step, lambda folder: _save(folder, step)
    )
    send(stream, Message(Kind.CHECKPOINT, {"step": step, "stored": vars(stored)}))


def _save(folder: Path, step: int) -> None:
    (folder / "state.json").write_text(json.dumps({"step": step}))


def _progress(stream: IO[bytes], step: int) -> None:
    body = {"step": step, "metrics": {"loss": 1.0 / (1 + step)}, "steps_per_second": 10.0}
    send(stream, Message(Kind.PROGRESS, body))


def _evaluate(stream: IO[bytes], step: int) -> None:
    body = {
        "step": step,
        "returns": [float(step)],
        "lengths": [1],
        "seeds": [0],
        "action_mode": "deterministic",
        "manifest": {},
        "policy_bytes": 6_000,
    }
    send(stream, Message(Kind.EVALUATION, body, b"\x00onnx\n" * 1000))


def _hang(stream: IO[bytes], call: str) -> None:
    """In the trainer's own class, with its handler; torch is not needed for that."""
    from mrq_core.environments import Environment

    faulthandler.register(STACK_SIGNAL)
    environment = Environment("Pendulum-v1", {}, None)
    environment.reset(0, 0)

    def hang(*_: object, **__: object) -> None:
        time.sleep(600)

    setattr(environment.env, call, hang)
    send(stream, Message(Kind.ALIVE, {"steps": 9}))
    environment.reset(0, 9) if call == "reset" else environment.step([0.0], 9)


def behave(order: Order, stream: IO[bytes], stop: StopRequest) -> None:
    start = 0
    if order.resume_from is not None:
        start = json.loads((Path(order.resume_from) / "state.json").read_text())["step"]
    _progress(stream, start + 1)
    body: dict[str, Any]
    match order.spec["name"]:
        case "crashes":
            print("about to crash")  # noqa: T201 (goes to the attempt's log)
            os.kill(os.getpid(), signal.SIGKILL)
        case "names-anothers-folder":
            stored = {"folder": f"{order.job_id}/1-1/../../job_00/1-1", "size_bytes": 1}
            stored |= {"sha256": "", "files": {}, "format_version": 1}
            send(stream, Message(Kind.CHECKPOINT, {"step": 1, "stored": stored}))
            time.sleep(600)
        case "tells-its-environment":
            print(sorted(os.environ))  # noqa: T201
        case "advances-then-crashes":
            _checkpoint(stream, order, start + 10)
            os.kill(os.getpid(), signal.SIGKILL)
        case "fails-after-a-checkpoint":
            _checkpoint(stream, order, 10)
            body = {"reason": Reason.ENVIRONMENT_ERROR, "message": "at step 12 it broke"}
            send(stream, Message(Kind.FAILED, body))
        case "clamps":
            for step, count in ((50, 3.0), (75, 5.0)):
                metrics = {"reward/clamped": count}
                body = {"step": step, "metrics": metrics, "steps_per_second": 10.0}
                send(stream, Message(Kind.PROGRESS, body))
            send(
                stream,
                Message(Kind.FINISHED, {"step": 100, "weights_sha256": "aa", "end": "steps"}),
            )
        case "hangs-in-reset" | "hangs-in-step" as name:
            _hang(stream, name.removeprefix("hangs-in-"))
        case "hangs":
            time.sleep(600)
        case "diverges":
            body = {"reason": Reason.NON_FINITE, "message": "loss/value at step 7"}
            send(stream, Message(Kind.FAILED, body))
        case "breaks-the-protocol":
            send(stream, Message(Kind.EVALUATION, {"step": 1}))
            time.sleep(600)
        case "ignores-stop":
            time.sleep(600)
        case "is-slow-but-alive":
            for _ in range(40):
                time.sleep(0.15)
                send(stream, Message(Kind.ALIVE, {"steps": 1}))
            send(
                stream,
                Message(Kind.FINISHED, {"step": 100, "weights_sha256": "aa", "end": "steps"}),
            )
        case "came-back-elsewhere":
            body = {"step": start, "resumed": True, "parameter_count": 1, "exact": False}
            send(stream, Message(Kind.STARTED, body))
            send(
                stream,
                Message(Kind.FINISHED, {"step": 100, "weights_sha256": "aa", "end": "steps"}),
            )
        case "tells-its-beginning" | "dies-at-its-beginning" as name:
            began = order.begin_from and (Path(order.begin_from) / "state.json").read_text()
            resumed = order.resume_from is not None
            body = {"step": start, "resumed": resumed, "parameter_count": 1, "exact": True}
            send(stream, Message(Kind.STARTED, body))
            if name == "dies-at-its-beginning" and order.epoch == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            _checkpoint(stream, order, start + 10)
            if name == "dies-at-its-beginning" and order.epoch == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            body = {"step": 100, "weights_sha256": f"began with {began}", "end": "steps"}
            send(stream, Message(Kind.FINISHED, body))
        case "says-half-a-message":
            stream.write(b'{"kind": "evaluation", "bytes": 100, "body": {}}\nshort')
        case "leaves-a-child":
            if os.fork() == 0:
                time.sleep(600)
            os.kill(os.getpid(), signal.SIGKILL)
        case "begins-and-crashes":
            resumed = order.resume_from is not None
            body = {"step": start, "resumed": resumed, "parameter_count": 1, "exact": True}
            send(stream, Message(Kind.STARTED, body))
            _checkpoint(stream, order, start + 10)
            os.kill(os.getpid(), signal.SIGKILL)
        case "evaluates-and-waits":
            _evaluate(stream, 1)
            while not stop():
                time.sleep(0.02)
            _checkpoint(stream, order, 5)
            send(stream, Message(Kind.STOPPED, {"step": 5, "weights_sha256": "bb"}))
        case "reaches-its-target":
            _evaluate(stream, 30)
            body = {"step": 30, "weights_sha256": "aa", "end": "target"}
            send(stream, Message(Kind.FINISHED, body))
        case "stops-slowly":
            while not stop():
                time.sleep(0.02)
            _checkpoint(stream, order, start + 5)
            time.sleep(2)
            send(stream, Message(Kind.STOPPED, {"step": start + 5, "weights_sha256": "bb"}))
        case "diverges-when-stopped":
            while not stop():
                time.sleep(0.02)
            body = {"reason": Reason.NON_FINITE, "message": "loss/value at step 7"}
            send(stream, Message(Kind.FAILED, body))
        case "waits":
            while not stop():
                time.sleep(0.02)
            _checkpoint(stream, order, start + 5)
            send(stream, Message(Kind.STOPPED, {"step": start + 5, "weights_sha256": "bb"}))
        case _:
            total = order.spec["budget"]["total_steps"]
            _evaluate(stream, start)
            _checkpoint(stream, order, start + 50)
            _evaluate(stream, total)
            send(
                stream,
                Message(Kind.FINISHED, {"step": total, "weights_sha256": "aa", "end": "steps"}),
            )


def main() -> None:
    die_with_parent(int(sys.argv[1]))
    with os.fdopen(int(sys.argv[2]), "wb") as stream:
        order = Order(**json.loads(sys.stdin.readline()))
        behave(order, stream, StopRequest(sys.stdin))


if __name__ == "__main__":
    main()
