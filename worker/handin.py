"""What the trainer says, turned into transactions and put into the outbox."""

import math
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import IntegrityError

from store.artifacts import StoredFolder
from store.checkpoint_files import CheckpointFiles
from store.database import Database
from store.ownership import Claim, Wish
from store.results import (
    EvaluationResult,
    MetricRow,
    PolicyBundle,
    record_evaluation,
    record_fidelity,
    record_progress,
    record_training_checkpoint,
    record_warning,
)
from store.spec import JobSpec
from store.states import Fidelity
from store.storage import Artifacts
from worker.channel import Kind, Message
from worker.outbox import Outbox
from worker.publisher import Finished, Publisher

# Metrics of one second go into one transaction: SQLite syncs the disk at each commit.
PROGRESS_SECONDS = 1.0

NOT_EXACT = (
    "The run did not come back exactly to where the checkpoint left it (another kind of machine or "
    "device?): where the environment did not repeat itself, the episode under way was cut off "
    "there and a new one begun. All that was learnt is restored."
)

STORAGE_AWAY = (
    "The object store does not take the checkpoint of step {step}. Training goes on, and it is "
    "tried again; until it succeeds, a crash goes back to the checkpoint before."
)

CLAMPED = "reward/clamped"


def clamping_warning(spec: JobSpec, step: int, count: int) -> str:
    limit = math.expm1(spec.algorithm.mrq.bin_range)
    rewards = "1 reward was" if count == 1 else f"{count} rewards were"
    return (
        f"By step {step}, {rewards} outside -{limit:g} to {limit:g}, what the model can learn, "
        "and taken for the nearer end. Scale the rewards, or raise "
        f"algorithm.hyperparameters.bin_range. The metric {CLAMPED} counts on."
    )


def _of_beginning(spec: JobSpec) -> Fidelity:
    if spec.init_from is None:
        return Fidelity.NONE
    return Fidelity.STATE if spec.init_from.load == "all" else Fidelity.WEIGHTS


class HandIn:
    def __init__(
        self,
        database: Database,
        claim: Claim,
        outbox: Outbox,
        artifacts: Artifacts,
        last: CheckpointFiles | None,
        spec: JobSpec,
        hear: Callable[[Wish], None],
    ) -> None:
        """`last`: the checkpoint that the attempt begins with. `hear` is told what the user wants,
        whenever a write has found out."""
        self.step = 0  # the last one heard of
        self._database = database
        self._claim = claim
        self.outbox = outbox
        self.publisher = Publisher(artifacts, claim.epoch, last, self._published)
        self._spec = spec
        self._hear = hear
        self._keep = spec.checkpointing.keep
        self._told_of_clamping = False
        self._told_of_storage = False
        self._rows: list[MetricRow] = []
        self._steps_per_second: float | None = None
        self._progress_due = 0.0

    def take(self, message: Message) -> None:
        body = message.body
        self.step = body.get("step", self.step)
        match message.kind:
            case Kind.STARTED:
                self._started(body)
            case Kind.PROGRESS:
                self._rows.append(MetricRow(step=body["step"], values=body["metrics"]))
                self._tell_of_clamping(body["step"], body["metrics"].get(CLAMPED, 0.0))
                self._steps_per_second = body["steps_per_second"]
                if time.monotonic() >= self._progress_due:
                    self.flush_progress()
            case Kind.EVALUATION:
                self.flush_progress()
                self.outbox.add(lambda: self._evaluation(body, message.attachment))
            case Kind.CHECKPOINT:
                self.flush_progress()  # a checkpoint never comes before the metrics up to it
                self.publisher.add(Finished(body["step"], self._stored(body)))
            case _:
                return

    def publish(self) -> None:
        self.publisher.turn()
        step = self.publisher.failing_at
        if step is not None and not self._told_of_storage:
            self._told_of_storage = True
            self._warn(STORAGE_AWAY.format(step=step))

    def flush_progress(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        pace = self._steps_per_second
        self._progress_due = time.monotonic() + PROGRESS_SECONDS

        def write() -> None:
            wish = record_progress(
                self._database, self._claim, step=rows[-1].step, steps_per_second=pace, rows=rows
            )
            self._hear(wish)

        self.outbox.add(write)

    def _started(self, body: dict[str, Any]) -> None:
        inexact = body["resumed"] and not body["exact"]
        fidelity = Fidelity.STATE if inexact else Fidelity.EXACT
        if not body["resumed"]:
            fidelity = _of_beginning(self._spec)
        self.outbox.add(lambda: record_fidelity(self._database, self._claim, fidelity))
        if inexact:
            self._warn(NOT_EXACT)

    def _tell_of_clamping(self, step: int, count: float) -> None:
        """Once an attempt: the metric goes on counting."""
        if count == 0 or self._told_of_clamping:
            return
        self._told_of_clamping = True
        self._warn(clamping_warning(self._spec, step, round(count)))

    def _warn(self, text: str) -> None:
        self.outbox.add(lambda: record_warning(self._database, self._claim, text))

    def _evaluation(self, body: dict[str, Any], graphs: bytes) -> None:
        result = EvaluationResult(
            step=body["step"],
            action_mode=body["action_mode"],
            returns=body["returns"],
            lengths=body["lengths"],
            seeds=body["seeds"],
            estimate=body.get("estimate"),
        )
        size = body["policy_bytes"]
        model = graphs[size:] or None
        bundle = PolicyBundle(onnx=graphs[:size], manifest=body["manifest"], model=model)
        record_evaluation(self._database, self._claim, result, bundle, keep=self._keep)

    def _stored(self, body: dict[str, Any]) -> StoredFolder:
        """Of this attempt and step, whatever the trainer says: it runs the code of environments."""
        stored = StoredFolder(**body["stored"])
        own = f"{self._claim.job_id}/{self._claim.epoch}-{body['step']}"
        if stored.folder != own:
            raise ValueError(f"the trainer names a folder that is not its own: {stored.folder!r}")
        return stored

    def _published(self, finished: Finished) -> None:
        self.outbox.add(lambda: self._checkpoint(finished))

    def _checkpoint(self, finished: Finished) -> None:
        try:
            unnamed = record_training_checkpoint(
                self._database, self._claim, finished.step, finished.stored, keep=self._keep
            )
        except IntegrityError:  # if it was in doubt, the outbox knows that it is there
            self.publisher.committed(finished.stored, [])
            raise
        # After the commit: a row never names what is gone.
        self.publisher.committed(finished.stored, unnamed)
