"""Groups of jobs as the API shows them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app import lookups
from app.problem import shortened
from app.schemas import (
    ActedView,
    AggregateView,
    BatchView,
    EstimatedView,
    GroupBrief,
    GroupLinks,
    GroupView,
    MemberView,
    SummaryView,
)
from app.views import best_view, number, policy_reference, progress_view
from store.batch import Acted
from store.bootstrap import CONFIDENCE, RESAMPLES, Aggregate, Estimated
from store.clock import to_rfc3339
from store.groups import jobs_of, status_of, statuses_of
from store.lifecycle import Action, allowed_actions, phase_of
from store.summary import Summary
from store.tables import Job, JobGroup, Policy


def group_briefs(session: Session, groups: Sequence[JobGroup]) -> list[GroupBrief]:
    statuses = statuses_of(session, groups)
    return [_brief(group, statuses[group.number]) for group in groups]


def group_view(session: Session, group: JobGroup) -> GroupView:
    jobs = jobs_of(session, group)
    policies = lookups.newest_policies(session, [job.number for job in jobs])
    common = {k: v for k, v in jobs[0].spec.items() if all(v == job.spec.get(k) for job in jobs)}
    allowed = {action for job in jobs for action in allowed_actions(job)}
    return {
        **_brief(group, statuses_of(session, [group])[group.number]),
        "spec": common,
        "seeds": [job.spec["seed"] for job in jobs],
        "fraction": sum(job.step for job in jobs) / sum(job.total_steps for job in jobs),
        "actions": [str(action) for action in Action if action in allowed],
        "jobs": [_member(job, policies.get(job.number)) for job in jobs],
    }


def _brief(group: JobGroup, statuses: dict[str, int]) -> GroupBrief:
    return {
        "id": group.id,
        "name": group.name,
        "status": status_of(statuses),
        "jobs_by_status": statuses,
        "created_at": to_rfc3339(group.created_at),
        "links": _links(group),
    }


def _links(group: JobGroup) -> GroupLinks:
    path = f"/job-groups/{group.id}"
    return {
        "self": path,
        "summary": f"{path}/summary",
        "cancel": f"{path}/cancel",
        "pause": f"{path}/pause",
        "resume": f"{path}/resume",
        "retry": f"{path}/retry",
        "extend": f"{path}/extend",
        "page": f"/ui{path}",
    }


def _member(job: Job, policy: Policy | None) -> MemberView:
    return {
        "id": job.id,
        "seed": job.spec["seed"],
        "name": job.name,
        "status": job.status,
        "status_reason": job.reason,
        "phase": phase_of(job),
        "progress": progress_view(job),
        "best": best_view(job),
        "policy": None if policy is None else policy_reference(policy),
    }


def summary_view(group: JobGroup, summary: Summary) -> SummaryView:
    return {
        "group_id": group.id,
        "last": aggregate_view(summary.last),
        "best": aggregate_view(summary.best),
        "missing": dict(summary.missing),
        "curve": [
            {"step": point.step, "n": point.n, "iqm": estimated_view(point.iqm)}
            for point in summary.curve
        ],
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
    }


def aggregate_view(found: Aggregate | None) -> AggregateView | None:
    if found is None:
        return None
    return {
        "n": found.n,
        "iqm": estimated_view(found.iqm),
        "mean": estimated_view(found.mean),
        "median": estimated_view(found.median),
        "least": number(found.least),
        "most": number(found.most),
    }


def estimated_view(found: Estimated) -> EstimatedView:
    return {
        "value": number(found.value),
        "low": None if found.low is None else number(found.low),
        "high": None if found.high is None else number(found.high),
    }


def batch_view(results: Sequence[Acted], *, has_more: bool = False) -> BatchView:
    done = sum(acted.refusal is None for acted in results)
    return {
        "data": [_acted(acted) for acted in results],
        "done": done,
        "refused": len(results) - done,
        "has_more": has_more,
    }


def _acted(acted: Acted) -> ActedView:
    refusal = acted.refusal
    return {
        "job_id": acted.job_id,
        "outcome": "done" if refusal is None else "refused",
        "phase": acted.phase,
        "code": None if refusal is None else refusal.code,
        "detail": None if refusal is None else shortened(refusal.message),
    }
