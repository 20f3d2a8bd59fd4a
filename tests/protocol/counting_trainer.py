"""A trainer whose weights are a chain of hashes over its steps: each once and in order, or they
differ. It speaks the real protocol and writes real checkpoint folders, with links.
"""

import hashlib
import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import IO

from store.artifacts import GENERATIONS, ArtifactFolder
from store.processes import die_with_parent
from store.states import Reason
from worker.channel import Kind, Message, Order, StopRequest, send

REPORT_EVERY, SAVE_EVERY, EVALUATE_EVERY = 25, 25, 50
NO_SPACE = 28


class Counting:
    def __init__(self, order: Order, stream: IO[bytes], waits_at: int | None) -> None:
        """`waits_at`: the only step where it stops, and where it waits to be told so."""
        self._waits_at = waits_at
        self._order, self._stream = order, stream
        self._artifacts = ArtifactFolder(Path(order.artifact_dir))
        self._saved: deque[Path] = deque(maxlen=GENERATIONS)
        self.step, self.weights = 0, "nothing learnt"
        if order.resume_from is not None:
            self._saved.append(Path(order.resume_from))
            state = json.loads((Path(order.resume_from) / "state.json").read_text())
            self.step, self.weights = state["step"], state["weights"]

    def run(self, stop: StopRequest) -> None:
        resumed = self._order.resume_from is not None
        self._say(Kind.STARTED, step=self.step, resumed=resumed, parameter_count=1, exact=True)
        if not resumed:
            self._evaluate()
        total = self._order.spec["budget"]["total_steps"]
        while self.step < total:
            while self.step == self._waits_at and not stop():
                time.sleep(0.01)
            if self._waits_at in (None, self.step) and stop():
                self._save()
                self._say(Kind.STOPPED, step=self.step, weights_sha256=self.weights)
                return
            self._learn()
        self._say(Kind.FINISHED, step=self.step, weights_sha256=self.weights, end="steps")

    def _learn(self) -> None:
        self.step += 1
        self.weights = hashlib.sha256(f"{self.weights} {self.step}".encode()).hexdigest()
        if self.step % REPORT_EVERY == 0:
            metrics = {"reward_scale": self._number(), "loss": self._number() / 2}
            self._say(Kind.PROGRESS, step=self.step, metrics=metrics, steps_per_second=10.0)
        if self.step % EVALUATE_EVERY == 0:
            self._evaluate()
        if self.step % SAVE_EVERY == 0:
            self._save()

    def _number(self) -> float:
        return int(self.weights[:6], 16) / 1000

    def _save(self) -> None:
        previous = self._saved[0] if len(self._saved) == GENERATIONS else None

        def save(folder: Path) -> None:
            state = json.dumps({"step": self.step, "weights": self.weights})
            (folder / "state.json").write_text(state)
            if previous is None:
                (folder / "replay.bin").write_bytes(b"replay" * 100)
            else:
                os.link(previous / "replay.bin", folder / "replay.bin")

        order = self._order
        stored = self._artifacts.write(order.job_id, order.epoch, self.step, save)
        self._saved.append(self._artifacts.root / stored.folder)
        self._say(Kind.CHECKPOINT, step=self.step, stored=vars(stored))

    def _evaluate(self) -> None:
        body = {
            "step": self.step,
            "returns": [float(self.step)],
            "lengths": [1],
            "seeds": [0],
            "action_mode": "deterministic",
            "manifest": {},
            "policy_bytes": 400,
        }
        send(self._stream, Message(Kind.EVALUATION, body, b"onnx" * 100))

    def _say(self, kind: Kind, **body: object) -> None:
        send(self._stream, Message(kind, body))


def main(waits_at: int | None = None) -> int:
    die_with_parent(int(sys.argv[1]))
    with os.fdopen(int(sys.argv[2]), "wb") as stream:
        order = Order(**json.loads(sys.stdin.readline()))
        try:
            Counting(order, stream, waits_at).run(StopRequest(sys.stdin))
        except OSError as error:
            full = error.errno == NO_SPACE
            reason = Reason.STORAGE_FULL if full else Reason.STORAGE_ERROR
            send(stream, Message(Kind.FAILED, {"reason": reason, "message": str(error)}))
            return 1
    return 0
