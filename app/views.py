"""Rows as the API shows them."""

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import orjson
from pydantic import ValidationError
from sqlalchemy.orm import Session

from app import lookups
from app.inputs import what_to_send
from app.schemas import (
    AttemptView,
    BestView,
    CheckpointView,
    EstimateByLog,
    EstimateView,
    EvaluationView,
    EventView,
    JobLinks,
    JobView,
    JudgedSpec,
    LiveView,
    Number,
    PolicyEvaluation,
    PolicyReference,
    PolicyView,
    ProgressView,
)
from store.clock import to_rfc3339
from store.estimate import Estimate, estimate
from store.failures import RETRIES, fault_of
from store.groups import group_ids
from store.jobs import queue_position, queue_positions
from store.lifecycle import allowed_actions, phase_of
from store.manifests import Described, described
from store.servable import history_of
from store.spec import JobSpec
from store.states import CheckpointKind, JobStatus, Reason
from store.tables import Attempt, Checkpoint, Evaluation, Event, Job, Policy

ACTION_MODES = ["deterministic", "sample"]


def job_view(session: Session, job: Job) -> JobView:
    return job_views(session, [job])[0]


def job_views(session: Session, jobs: Sequence[Job]) -> list[JobView]:
    policies = lookups.newest_policies(session, [job.number for job in jobs])
    groups, places = group_ids(session, jobs), queue_positions(session, jobs)
    return [
        _job(
            job,
            policies.get(job.number),
            groups.get(job.group_number or 0),
            places.get(job.number),
        )
        for job in jobs
    ]


def _job(job: Job, policy: Policy | None, group_id: str | None, place: int | None) -> JobView:
    judged = _judged(orjson.dumps(job.spec))
    return {
        "id": job.id,
        "name": job.name,
        "labels": job.labels,
        "status": job.status,
        "status_reason": job.reason,
        "status_message": job.message,
        "phase": phase_of(job),
        "actions": [str(action) for action in allowed_actions(job)],
        "cloned_from": job.cloned_from,
        "group_id": group_id,
        "priority": job.priority,
        "spec": job.spec,
        "estimate": judged["estimate"],
        # They are of the training, and an imported one is over.
        "warnings": [] if job.reason == Reason.IMPORTED else judged["warnings"],
        "progress": progress_view(job),
        "attempt": job.epoch,
        "failures": {
            "infrastructure": job.infrastructure_failures,
            "error": job.error_failures,
        },
        "queue_position": place,
        "best": best_view(job),
        "latest_metrics": job.latest_metrics,
        "policy": None if policy is None else policy_reference(policy),
        "weights_sha256": job.weights_sha256,
        "created_at": to_rfc3339(job.created_at),
        "started_at": to_rfc3339(job.started_at),
        "finished_at": to_rfc3339(job.finished_at),
        "deleted_at": to_rfc3339(job.deleted_at),
        "links": _job_links(job, policy),
    }


def _job_links(job: Job, policy: Policy | None) -> JobLinks:
    path = f"/jobs/{job.id}"
    return {
        "self": path,
        "cancel": f"{path}/cancel",
        "pause": f"{path}/pause",
        "resume": f"{path}/resume",
        "retry": f"{path}/retry",
        "extend": f"{path}/extend",
        "clone": f"{path}/clone",
        "restore": f"{path}/restore",
        "events": f"{path}/events",
        "metrics": f"{path}/metrics",
        "evaluations": f"{path}/evaluations",
        "checkpoints": f"{path}/checkpoints",
        "attempts": f"{path}/attempts",
        "page": f"/ui{path}",
        "act": None if policy is None else f"/policies/{policy.id}/act",
    }


@lru_cache(maxsize=1024)
def _judged(stored: bytes) -> JudgedSpec:
    """No estimate for the spec of an older release that this one would not take any more."""
    try:
        spec = JobSpec.model_validate_json(stored)
    except ValidationError:
        return {"estimate": None, "warnings": []}
    return {"estimate": estimate_view(estimate(spec)), "warnings": spec.warnings()}


def estimate_view(needed: Estimate) -> EstimateView:
    return {"parameters": needed.parameters, "memory_bytes": needed.memory_bytes}


def progress_view(job: Job) -> ProgressView:
    left, speed = job.total_steps - job.step, job.steps_per_second
    running = job.status == JobStatus.RUNNING
    return {
        "step": job.step,
        "total_steps": job.total_steps,
        "fraction": job.step / job.total_steps,
        "steps_per_second": speed,
        "eta_seconds": round(left / speed, 1) if running and speed else None,
        "updated_at": to_rfc3339(job.progress_at),
    }


def live_view(session: Session, job: Job) -> LiveView:
    return {
        "status": job.status,
        "status_reason": job.reason,
        "phase": phase_of(job),
        "progress": progress_view(job),
        "latest_metrics": job.latest_metrics,
        "queue_position": queue_position(session, job),
    }


def best_view(job: Job) -> BestView | None:
    if job.best_checkpoint_id is None:
        return None
    mean = None if job.best_return is None else number(job.best_return)
    return {"checkpoint_id": job.best_checkpoint_id, "return_mean": mean}


def policy_reference(policy: Policy) -> PolicyReference:
    return {"id": policy.id, "name": policy.name, "version": policy.version}


def _fault(reason: str | None) -> str | None:
    return None if reason is None or reason not in RETRIES else fault_of(Reason(reason))


def attempt_view(attempt: Attempt) -> AttemptView:
    return {
        "number": attempt.number,
        "status": attempt.status,
        "reason": attempt.reason,
        "message": attempt.message,
        "worker": attempt.worker,
        "host": attempt.host,
        "device": attempt.device,
        "fidelity": attempt.fidelity,
        "resumed_from": attempt.resumed_from,
        "start_step": attempt.start_step,
        "end_step": attempt.end_step,
        "fault": _fault(attempt.reason),
        "exit_code": attempt.exit_code,
        "peak_memory_bytes": attempt.peak_memory_bytes,
        "started_at": to_rfc3339(attempt.started_at),
        "finished_at": to_rfc3339(attempt.finished_at),
    }


def event_view(event: Event) -> EventView:
    return {
        "seq": event.seq,
        "type": event.type,
        "attempt": event.attempt,
        "data": finite(event.data),
        "at": to_rfc3339(event.at),
    }


def evaluation_view(evaluation: Evaluation, job: Job) -> EvaluationView:
    returns = evaluation.returns
    is_best = evaluation.checkpoint_id is not None
    return {
        "id": evaluation.id,
        "step": evaluation.step,
        "attempt": evaluation.attempt,
        "action_mode": evaluation.action_mode,
        "return_mean": number(evaluation.return_mean),
        "return_std": number(spread(returns)),
        "return_min": number(min(returns)),
        "return_max": number(max(returns)),
        "returns": [number(each) for each in returns],
        "lengths": evaluation.lengths,
        "seeds": evaluation.seeds,
        "estimate": cast("EstimateByLog | None", evaluation.estimate),
        "checkpoint_id": evaluation.checkpoint_id,
        "best": is_best and evaluation.checkpoint_id == job.best_checkpoint_id,
        "created_at": to_rfc3339(evaluation.created_at),
    }


def checkpoint_views(
    session: Session, job: Job, checkpoints: Sequence[Checkpoint]
) -> list[CheckpointView]:
    evaluations = lookups.evaluations_of(session, [checkpoint.id for checkpoint in checkpoints])
    return [_checkpoint(each, job, evaluations.get(each.id)) for each in checkpoints]


def _checkpoint(checkpoint: Checkpoint, job: Job, evaluation: Evaluation | None) -> CheckpointView:
    return {
        "id": checkpoint.id,
        "kind": "policy" if checkpoint.kind == CheckpointKind.POLICY else "training",
        "step": checkpoint.step,
        "attempt": checkpoint.attempt,
        "size_bytes": checkpoint.size_bytes,
        "sha256": checkpoint.sha256,
        "format_version": checkpoint.format_version,
        "created_at": to_rfc3339(checkpoint.created_at),
        "best": checkpoint.id == job.best_checkpoint_id,
        "return_mean": None if evaluation is None else number(evaluation.return_mean),
        "links": {"files": f"/jobs/{job.id}/checkpoints/{checkpoint.id}/files"},
    }


def policy_view(session: Session, policy: Policy) -> PolicyView:
    return policy_views(session, [policy])[0]


def policy_views(session: Session, policies: Sequence[Policy]) -> list[PolicyView]:
    pinned = {policy.checkpoint_id for policy in policies}
    checkpoints = described(session, pinned)
    evaluations = lookups.evaluations_of(session, pinned)
    jobs = lookups.job_ids(session, {policy.job_number for policy in policies})
    return [
        _policy(
            policy,
            checkpoints[policy.checkpoint_id],
            evaluations.get(policy.checkpoint_id),
            jobs[policy.job_number],
        )
        for policy in policies
    ]


def _policy(
    policy: Policy, checkpoint: Described, evaluation: Evaluation | None, job_id: str
) -> PolicyView:
    manifest = checkpoint.manifest
    action_space = manifest["action_space"]
    continuous = action_space["type"] == "box" and action_space["dtype"] != "bool"
    path = f"/policies/{policy.id}"
    return {
        "id": policy.id,
        "name": policy.name,
        "version": policy.version,
        "checkpoint_id": policy.checkpoint_id,
        "job_id": job_id,
        # Without the module that training imported first.
        "environment_id": manifest["environment_id"].rpartition(":")[2],
        "observation_space": manifest["observation_space"],
        "history": history_of(manifest),
        "send": what_to_send(manifest),
        "action_space": action_space,
        "action_mask_size": None if continuous else manifest["action_dim"],
        "action_modes": ACTION_MODES,
        "step": checkpoint.step,
        "evaluation": None if evaluation is None else _policy_evaluation(evaluation),
        "sha256": checkpoint.sha256,
        "created_at": to_rfc3339(policy.created_at),
        "links": {"self": path, "act": f"{path}/act", "job": f"/jobs/{job_id}"},
    }


def _policy_evaluation(evaluation: Evaluation) -> PolicyEvaluation:
    estimate = cast("EstimateByLog | None", evaluation.estimate)
    return {
        "return_mean": number(evaluation.return_mean),
        "return_std": None if estimate else number(spread(evaluation.returns)),
        "episodes": estimate["episodes"] if estimate else len(evaluation.returns),
        "action_mode": evaluation.action_mode,
        "estimate": estimate,
    }


def spread(returns: Sequence[float]) -> float:
    """Standard deviation over the episodes, population form: 0 for a single one."""
    return statistics.pstdev(returns) if all(map(math.isfinite, returns)) else math.nan


def number(value: float) -> Number:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def finite(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: number(v) if isinstance(v, float) else v for key, v in data.items()}
