"""What the page of one job shows, read in one session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.inputs import what_to_send
from app.pages.commands import curl_post, curl_post_file
from app.pages.curve import ends_of, read_curve
from app.pages.drawing import draw
from app.pages.failure import failure_of
from app.pages.history import newest_events
from app.pages.observations import example_observation
from app.pages.parameters import parameters_of
from app.pages.sentences import FIDELITIES, MODES, curve_summary, network_input, reason_text
from app.views import job_view
from store.clock import to_rfc3339
from store.jobs import list_attempts, not_deleted
from store.manifests import described, first_golden
from store.policies import list_checkpoints, list_policies
from store.states import CheckpointKind, JobStatus, Reason
from store.tables import Attempt, Checkpoint, Evaluation, Job, Policy

# A job may keep a hundred of each kind, beside the promoted ones.
MAX_CHECKPOINTS = 250
# Numbers in an observation; a longer example is no example.
MAX_EXAMPLE = 1_000
OBSERVATION_FILE = "observation.json"


@dataclass(frozen=True, kw_only=True)
class CheckpointRow:
    id: str
    step: int
    kind: str
    size_bytes: int
    sha256: str
    return_mean: float | None
    best: bool
    policy: str | None  # name:version under which it is served


@dataclass(frozen=True, kw_only=True)
class Served:
    name: str
    version: int
    step: int
    return_mean: float | None
    curl: str
    file: str | None  # that the command reads
    send: str


@dataclass(frozen=True, kw_only=True)
class AttemptRow:
    number: int
    status: str
    reason: str | None
    message: str | None
    worker: str
    fidelity: str | None
    start_step: int
    end_step: int | None
    exit_code: int | None
    peak_memory_bytes: int | None
    started_at: str
    finished_at: str | None


@dataclass(frozen=True, kw_only=True)
class Source:
    checkpoint_id: str
    job_id: str
    job_name: str | None  # None: deleted
    load: str


def read_overview(session: Session, job: Job) -> dict[str, Any]:
    return {
        "source": _source(session, job),
        "job": job_view(session, job),
        "last_seq": newest_events(session, job)[0].seq,
        "now": datetime.now(UTC),
        "reason_text": reason_text,
    }


def read_results(session: Session, job: Job, base_url: str) -> dict[str, Any]:
    checkpoints = list_checkpoints(session, job.number, limit=MAX_CHECKPOINTS)
    policies, _ = list_policies(session, job_number=job.number, limit=100)
    curve = read_curve(session, job, checkpoints)
    returns = {e.checkpoint_id: e.return_mean for e in curve.evaluations}
    return {
        "job": job_view(session, job),
        "now": datetime.now(UTC),
        "reason_text": reason_text,
        "failure": failure_of(job.reason) if job.status == JobStatus.FAILED else None,
        "served": _served(session, policies, returns, base_url),
        "curve": curve,
        "drawing": draw(curve),
        "summary": curve_summary(curve.evaluations, imported=job.reason == Reason.IMPORTED),
        "modes": MODES,
        "ends_of": ends_of,
        "fidelities": FIDELITIES,
        "evaluations": _newest_first(curve.evaluations),
        "checkpoints": [_checkpoint_row(c, job, policies, returns) for c in checkpoints],
        "events": newest_events(session, job),
        "attempts": [_attempt_row(attempt) for attempt in list_attempts(session, job.number)],
    }


def read_setup(job: Job, base_url: str) -> dict[str, Any]:
    """What was asked for: only an extension changes it."""
    return {
        "parameters": parameters_of(job.spec),
        "input": network_input(job.spec["environment"]),
        "spec_json": orjson.dumps(job.spec, option=orjson.OPT_INDENT_2).decode(),
        "job_curl": curl_post(base_url, "/jobs", job.spec),
    }


def _source(session: Session, job: Job) -> Source | None:
    begins = job.spec.get("init_from")
    if begins is None:
        return None
    name = select(Job.name).where(Job.id == begins["job_id"], not_deleted())
    return Source(
        checkpoint_id=begins["checkpoint_id"],
        job_id=begins["job_id"],
        job_name=session.scalar(name),
        load=begins["load"],
    )


def _newest_first(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    return list(reversed(evaluations))


def _served(
    session: Session,
    policies: Sequence[Policy],
    returns: Mapping[str | None, float],
    base_url: str,
) -> Served | None:
    """The newest promotion of a checkpoint of this job."""
    if not policies:
        return None
    newest = policies[0]
    checkpoint = described(session, [newest.checkpoint_id])[newest.checkpoint_id]
    example = _example(session, newest.checkpoint_id, checkpoint.manifest)
    act = f"/policies/{newest.name}:{newest.version}/act"
    return Served(
        name=newest.name,
        version=newest.version,
        step=checkpoint.step,
        return_mean=returns.get(newest.checkpoint_id),
        curl=(
            curl_post_file(base_url, act, OBSERVATION_FILE)
            if example is None
            else curl_post(base_url, act, {"observation": example})
        ),
        file=OBSERVATION_FILE if example is None else None,
        send=what_to_send(checkpoint.manifest),
    )


def _example(session: Session, checkpoint_id: str, manifest: Mapping[str, Any]) -> Any:
    """An observation as `act` takes it; None if it would be too long for an example."""
    if manifest["observation_dim"] > MAX_EXAMPLE:
        return None
    return example_observation(manifest["observation_space"], first_golden(session, checkpoint_id))


def _checkpoint_row(
    checkpoint: Checkpoint,
    job: Job,
    policies: Sequence[Policy],
    returns: Mapping[str | None, float],
) -> CheckpointRow:
    served = (f"{p.name}:{p.version}" for p in policies if p.checkpoint_id == checkpoint.id)
    is_policy = checkpoint.kind == CheckpointKind.POLICY
    return CheckpointRow(
        id=checkpoint.id,
        step=checkpoint.step,
        kind=checkpoint.kind,
        size_bytes=checkpoint.size_bytes,
        sha256=checkpoint.sha256,
        return_mean=returns.get(checkpoint.id) if is_policy else None,
        best=checkpoint.id == job.best_checkpoint_id,
        policy=next(served, None),
    )


def _attempt_row(attempt: Attempt) -> AttemptRow:
    started = to_rfc3339(attempt.started_at)
    assert started is not None
    return AttemptRow(
        number=attempt.number,
        status=attempt.status,
        reason=attempt.reason,
        message=attempt.message,
        worker=attempt.worker,
        fidelity=attempt.fidelity,
        start_step=attempt.start_step,
        end_step=attempt.end_step,
        exit_code=attempt.exit_code,
        peak_memory_bytes=attempt.peak_memory_bytes,
        started_at=started,
        finished_at=to_rfc3339(attempt.finished_at),
    )
