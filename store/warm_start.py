"""A job that begins with what another one has learnt: which checkpoint, and whether it fits.

Only the trainer reads the checkpoint itself (`mrq_core.warm_start`); what it alone can see ends
the job as spec_invalid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from mrq_core.config import NETWORK_SETTINGS, REPLAY_SETTINGS
from store.errors import InvalidInput, NotFound
from store.init_from_spec import InitFromSpec
from store.pins import hold
from store.spec import EnvironmentSpec, JobSpec
from store.states import CheckpointKind, Reason
from store.tables import Checkpoint, Job

BY_CHECKPOINT, BY_JOB = "init_from.checkpoint_id", "init_from.job_id"


def with_source(session: Session, specs: Sequence[JobSpec], *, pin: bool) -> list[JobSpec]:
    """The specs of one request, resolved: looked up once, so that the jobs of a group begin alike.

    `pin`: what is found stays until the jobs are there, in this transaction. Raises `NotFound` and
    `InvalidInput`.
    """
    asked = specs[0].init_from
    if asked is None:
        return list(specs)
    job, checkpoint = _find(session, asked, pin=pin)
    _require_fit(specs[0], asked.load, job, checkpoint)
    found = InitFromSpec(
        checkpoint_id=checkpoint.id, job_id=job.id, load=asked.load, sha256=checkpoint.sha256
    )
    return [spec.model_copy(update={"init_from": found}) for spec in specs]


def source_of(session: Session, asked: InitFromSpec) -> Checkpoint | None:
    """Of a resolved spec. None: it is gone."""
    query = select(Checkpoint).where(
        Checkpoint.id == asked.checkpoint_id,
        Checkpoint.sha256 == asked.sha256,
        Checkpoint.kind == CheckpointKind.TRAINING,
    )
    return session.scalars(query).one_or_none()


def _find(session: Session, asked: InitFromSpec, *, pin: bool) -> tuple[Job, Checkpoint]:
    """The job's row is locked before its checkpoint's, as by everybody else."""
    if asked.checkpoint_id is None:
        assert asked.job_id is not None, "one of the two is given"
        job = _job(session, Job.id == asked.job_id, pin=pin)
        if job is None:
            raise NotFound("job", asked.job_id, param=BY_JOB)
        return job, _newest(session, job, pin=pin)
    identity = asked.checkpoint_id
    number = select(Checkpoint.job_number).where(Checkpoint.id == identity).scalar_subquery()
    job = _job(session, Job.number == number, pin=pin)
    checkpoint = None if job is None else _checkpoint(session, identity, pin=pin)
    if job is None or checkpoint is None:
        raise NotFound("checkpoint", identity, param=BY_CHECKPOINT)
    _require_training(job, checkpoint)
    _require_as_resolved(asked, job, checkpoint)
    return job, checkpoint


def _job(session: Session, which: ColumnElement[bool], *, pin: bool) -> Job | None:
    query: Select[Job] = select(Job).where(which, Job.deleted_at.is_(None))
    if pin:
        query = query.with_for_update(read=True, key_share=True)
    return session.scalars(query).one_or_none()


def _checkpoint(session: Session, identity: str, *, pin: bool) -> Checkpoint | None:
    return hold(session, identity) if pin else session.get(Checkpoint, identity)


def _weights_alone(job: Job) -> bool:
    return job.reason == Reason.IMPORTED and job.resume_checkpoint_id is None


def _newest(session: Session, job: Job, *, pin: bool) -> Checkpoint:
    """The one that the job itself would go on from, or weights that were imported alone."""
    identity = job.resume_checkpoint_id
    if _weights_alone(job):
        only = select(Checkpoint.id).where(
            Checkpoint.job_number == job.number, Checkpoint.kind == CheckpointKind.TRAINING
        )
        identity = session.scalars(only).one_or_none()
    found = None if identity is None else _checkpoint(session, identity, pin=pin)
    if found is not None:
        return found
    why = f"it is {job.status} and has written none yet"
    if job.expired_at is not None:
        why = "they were deleted after their time to live (checkpointing.ttl_seconds)"
    elif _weights_alone(job):
        why = "it was imported as a policy"
    raise InvalidInput(f"{BY_JOB}={job.id!r} has no training checkpoint: {why}.", param=BY_JOB)


def _require_training(job: Job, checkpoint: Checkpoint) -> None:
    if checkpoint.kind != CheckpointKind.TRAINING:
        raise InvalidInput(
            f"{BY_CHECKPOINT}={checkpoint.id!r} is of kind {checkpoint.kind}; needed: one of kind "
            f"training of GET /jobs/{job.id}/checkpoints, or {BY_JOB} for the newest.",
            param=BY_CHECKPOINT,
        )


def _require_as_resolved(asked: InitFromSpec, job: Job, checkpoint: Checkpoint) -> None:
    """A resolved spec that is posted again and changed in one of its places."""
    found = {"job_id": job.id, "sha256": checkpoint.sha256}
    for name, value in found.items():
        given = getattr(asked, name)
        if given is not None and given != value:
            raise InvalidInput(
                f"init_from.{name}={given!r} is not that of {checkpoint.id}: {value!r}; leave out "
                "job_id and sha256.",
                param=f"init_from.{name}",
            )


@dataclass(frozen=True)
class _Misfit:
    field: str  # the one to change
    what: str
    here: object
    there: object

    def __str__(self) -> str:
        return f"{self.what} is {self.here} here and {self.there} there"


def _require_fit(spec: JobSpec, load: str, job: Job, checkpoint: Checkpoint) -> None:
    try:
        theirs = JobSpec.model_validate(job.spec)
    except ValidationError:
        text = f"{BY_CHECKPOINT}={checkpoint.id!r}: the spec of its job {job.id} is of another "
        raise InvalidInput(f"{text}release, and cannot be read.", param=BY_CHECKPOINT) from None
    if theirs.algorithm.name != spec.algorithm.name:
        raise InvalidInput(
            f"{BY_CHECKPOINT}={checkpoint.id!r} of {job.id} is of algorithm.name="
            f"{theirs.algorithm.name!r}, and nothing begins with a baseline's; allowed: mrq's.",
            param=BY_CHECKPOINT,
        )
    if load == "all" and _weights_alone(job):
        raise InvalidInput(
            f"{BY_CHECKPOINT}={checkpoint.id!r} of {job.id} was imported with its weights alone: "
            "init_from.load='all' has no replay to begin with; allowed: 'weights'.",
            param="init_from.load",
        )
    found = list(_misfits(spec, theirs))
    advice = "give this job the same"
    if not found and load == "all":
        found = list(_replay_misfits(spec, theirs))
        advice += ", or load the weights alone"
    if found:
        told = "; ".join(map(str, found))
        raise InvalidInput(
            f"{BY_CHECKPOINT}={checkpoint.id!r} of {job.id} does not fit: {told}; {advice}.",
            param=found[0].field,
        )


def _misfits(spec: JobSpec, theirs: JobSpec) -> Iterator[_Misfit]:
    """Of the networks."""
    ours, other = spec.environment, theirs.environment
    if ours.observation != other.observation:
        same_frames = ours.entry.frame_shape == other.entry.frame_shape
        field = "environment.history" if same_frames else "environment.id"
        yield _Misfit(field, "environment.observation", _observation(ours), _observation(other))
    if _actions(ours) != _actions(other):
        what = "the form of actions (environment.id)"
        yield _Misfit("environment.id", what, _actions(ours), _actions(other))
    yield from _differing(NETWORK_SETTINGS, spec, theirs)


def _replay_misfits(spec: JobSpec, theirs: JobSpec) -> Iterator[_Misfit]:
    ours, other = spec.environment, theirs.environment
    if ours.history != other.history:
        yield _Misfit("environment.history", "environment.history", ours.history, other.history)
    if ours.entry.masked != other.entry.masked:
        what = "having action masks (environment.id)"
        yield _Misfit("environment.id", what, ours.entry.masked, other.entry.masked)
    yield from _differing(REPLAY_SETTINGS, spec, theirs)


def _differing(names: Sequence[str], spec: JobSpec, theirs: JobSpec) -> Iterator[_Misfit]:
    ours, other = spec.algorithm.mrq, theirs.algorithm.mrq
    for name in names:
        here, there = getattr(ours, name), getattr(other, name)
        if here != there:
            field = f"algorithm.hyperparameters.{name}"
            yield _Misfit(field, field, here, there)


def _observation(environment: EnvironmentSpec) -> str:
    assert environment.observation is not None, "it is resolved"
    return f"{environment.observation.kind} {environment.observation.shape}"


def _actions(environment: EnvironmentSpec) -> str:
    entry = environment.entry
    return f"{entry.action_kind} {list(entry.action_components) or entry.action_dim}"
