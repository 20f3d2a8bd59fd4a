"""What trainer and supervisor say to each other over a pipe: one JSON line, then raw bytes.

The trainer's standard output is left to the environment and libraries, which print as they like.
"""

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any

# Makes the trainer write what it is doing into its log.
STACK_SIGNAL = signal.SIGUSR1


class Kind(StrEnum):
    STARTED = "started"
    ALIVE = "alive"
    PROGRESS = "progress"
    EVALUATION = "evaluation"
    CHECKPOINT = "checkpoint"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class Message:
    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)
    attachment: bytes = b""


def send(stream: IO[bytes], message: Message) -> None:
    header = {"kind": message.kind, "bytes": len(message.attachment), "body": message.body}
    stream.write(json.dumps(header).encode() + b"\n" + message.attachment)
    stream.flush()


def receive(stream: IO[bytes]) -> Iterator[Message]:
    """Until the other side closes. A message cut off by a kill is dropped: it was never said."""
    while (line := stream.readline()).endswith(b"\n"):
        header = json.loads(line)
        attachment = stream.read(header["bytes"])
        if len(attachment) < header["bytes"]:
            return
        yield Message(Kind(header["kind"]), header["body"], attachment)


@dataclass(frozen=True)
class Order:
    """The first line on the trainer's standard input. A second line, `stop`, ends the run early."""

    job_id: str
    epoch: int
    spec: dict[str, Any]
    artifact_dir: str
    resume_from: str | None
    device: str
    threads: int
    # What must be free before a checkpoint is written, beside twice the last one's size.
    reserve_bytes: int = 0
    last_size: int = 0  # of the checkpoint in `resume_from`
    begin_from: str | None = None  # without `resume_from`: what the spec's `init_from` names
    environments_file: str | None = None
    dataset: str | None = None  # the file on this host, where the spec names one


class StopRequest:
    """Set when `stop` or the end of standard input arrives."""

    def __init__(self, stream: IO[str]) -> None:
        self._event = threading.Event()
        threading.Thread(target=self._wait, args=(stream,), daemon=True).start()

    def _wait(self, stream: IO[str]) -> None:
        stream.readline()
        self._event.set()

    def __call__(self) -> bool:
        return self._event.is_set()
