"""One attempt at one job: claim it, find where it stands, start its trainer, see it to its end.

Loads no torch. Every write carries the claim's epoch; once the claim is lost nothing is written,
and the trainer is killed.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack

from pydantic import ValidationError

from store.artifacts import NO_SPACE, CheckpointCorrupt
from store.catalogue import use_own_environments
from store.checkpoint_files import training_names
from store.database import Database
from store.dataset_files import DatasetDamaged, file_name, open_dataset_files
from store.endings import finish, give_up_attempt
from store.errors import Fenced, StorageUnreachable
from store.installed import lacking_here
from store.ownership import (
    Claim,
    claim_next,
    start_from,
    trained_ms,
)
from store.settings import Settings
from store.spec import JobSpec
from store.spec_part import what_is_refused
from store.states import JobStatus, Reason
from store.storage import open_artifacts
from worker.attempt import Attempt
from worker.beginning import Beginnings, NoBeginning
from worker.channel import Order
from worker.handin import HandIn
from worker.lease import Lease
from worker.outbox import Outbox
from worker.time_limits import TimeLimits
from worker.trainer_process import TRAINER, TrainerProcess
from worker.verdict import Judge

logger = logging.getLogger(__name__)


class Supervisor:
    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker: str,
        draining: Callable[[], bool],
        trainer_module: str = TRAINER,
    ) -> None:
        use_own_environments(settings.own_environments)
        self._database = database
        self._settings = settings
        self._worker = worker
        self._draining = draining
        self._trainer_module = trainer_module
        self._artifacts = open_artifacts(settings)
        self._beginnings = Beginnings(database, self._artifacts, settings.disk_reserve_bytes)
        self._datasets = open_dataset_files(settings)

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
            with Lease(self._settings, claim) as lease, ExitStack() as uses:
                uses.enter_context(self._artifacts.using(claim.job_id))
                self._attempt(claim, lease, uses)
        except Fenced as error:
            logger.warning("stopped: %s", error)
        except Exception as error:  # ours, or a write that the database will never take
            logger.exception("attempt %d at %s failed", claim.epoch, claim.job_id)
            reason, message = _told(error)
            give_up_attempt(
                self._database, self._settings, claim, reason, message=message, exit_code=None
            )

    def _attempt(self, claim: Claim, lease: Lease, uses: ExitStack) -> None:
        try:
            spec = JobSpec.model_validate(claim.spec)
            if (lack := lacking_here(spec.environment.entry)) is not None:
                self._fail(claim, Reason.SPEC_INVALID, lack)
                return
            dataset = self._dataset(spec)
            begins = self._beginnings.find(claim, spec, uses)
        except DatasetDamaged as error:
            self._fail(claim, Reason.DATASET_ERROR, str(error))
            return
        except ValidationError as error:  # accepted by another release, unknown to this one
            self._fail(claim, Reason.SPEC_INVALID, what_is_refused(error))
            return
        except NoBeginning as error:
            self._fail(claim, error.reason, str(error))
            return
        start_from(self._database, claim, begins.checkpoint, begins.source)
        self._sweep(claim)
        order = Order(
            job_id=claim.job_id,
            epoch=claim.epoch,
            spec=claim.spec,
            artifact_dir=str(self._artifacts.root),
            resume_from=begins.resume_from,
            begin_from=begins.begin_from,
            device=self._settings.device,
            threads=self._settings.trainer_threads,
            reserve_bytes=self._settings.disk_reserve_bytes,
            last_size=0 if begins.checkpoint is None else begins.checkpoint.size_bytes,
            environments_file=str(own) if (own := self._settings.own_environments) else None,
            dataset=dataset,
        )
        log = self._settings.log_dir / "jobs" / claim.job_id / f"{claim.epoch}.log"
        trainer = TrainerProcess(order, log, self._trainer_module)
        lease.when_lost(trainer.kill)
        try:
            hand_in = HandIn(
                self._database, claim, Outbox(), self._artifacts, begins.files, spec, lease.hear
            )
            judge = Judge(self._database, self._settings, claim, trainer, self._draining)
            times = self._times(claim, spec)
            Attempt(claim, lease, trainer, hand_in, times, judge, self._draining).run()
        finally:
            trainer.close()

    def _dataset(self, spec: JobSpec) -> str | None:
        """Its file on this host, if the job has one, with the bytes that were checked."""
        environment = spec.environment
        if environment.dataset is None or environment.dataset_id is None:
            return None
        name = file_name(environment.dataset.sha256, environment.dataset_id)
        return str(self._datasets.fetch(name))

    def _times(self, claim: Claim, spec: JobSpec) -> TimeLimits:
        with self._database.read() as session:
            trained = trained_ms(session, claim) / 1000
        return TimeLimits(spec, trained, self._settings.no_progress_seconds)

    def _fail(self, claim: Claim, reason: Reason, message: str) -> None:
        finish(self._database, claim, JobStatus.FAILED, reason, message=message)

    def _sweep(self, claim: Claim) -> None:
        with self._database.read() as session:
            named = training_names(session, claim.job_number)
        try:
            self._artifacts.sweep(claim.job_id, named, claim.epoch)
        except StorageUnreachable:
            logger.warning("what earlier attempts left is left for `mrq gc`")


def _told(error: Exception) -> tuple[Reason, str]:
    """What ended an attempt outside of its trainer."""
    match error:
        case StorageUnreachable():
            return Reason.STORAGE_UNREACHABLE, f"The object store does not answer: {error.why}"
        case CheckpointCorrupt():  # as it was read for the upload
            return Reason.STORAGE_ERROR, str(error)
        case OSError(errno=number) if number in NO_SPACE:
            return Reason.STORAGE_FULL, str(error)
        case OSError():
            return Reason.STORAGE_ERROR, str(error)
        case _:
            return Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"
