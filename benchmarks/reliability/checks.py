"""What must be true when everything is over: nothing lost, nothing twice, nothing different."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from benchmarks.reliability.client import Submission
from store.database import Database
from store.invariants import Finding
from store.series import effective_evaluations, metric_names, read_series
from store.states import JobStatus
from store.tables import Job

LOST = "no job is lost"
DOUBLED = "no job is doubled"
SUCCEEDS = "every job succeeds"
WEIGHTS = "final weights as undisturbed"
EVALUATIONS = "evaluations as undisturbed"
METRICS = "metrics as undisturbed"
LEFTOVERS = "no process is left"
CARRIED_OUT = "the plan was carried out"

Outcome = dict[str, Any]


def finding(invariant: str, job_id: str, text: str) -> Finding:
    return Finding(invariant=invariant, job_id=job_id, text=text, advice="replay the seed")


def check_jobs(database: Database, submissions: Sequence[Submission]) -> list[Finding]:
    """The first submission of each spec ran undisturbed: the others are compared with it."""
    found: list[Finding] = []
    undisturbed: dict[str, Outcome] = {}
    with database.read() as session:
        found += _lost_or_doubled(session, submissions)
        for submission in submissions:
            if not submission.job_ids:
                continue
            query = select(Job).where(Job.id == submission.job_ids[0])
            if (job := session.scalars(query).one_or_none()) is None:
                continue  # found above
            if job.status != JobStatus.SUCCEEDED:
                text = f"{job.status} at step {job.step}: {job.reason}, {job.message}"
                found.append(finding(SUCCEEDS, job.id, text))
                continue
            outcome = _outcome(session, job)
            expected = undisturbed.setdefault(submission.spec, outcome)
            found += _differences(job.id, outcome, expected)
    return found


def _lost_or_doubled(session: Session, submissions: Sequence[Submission]) -> Iterator[Finding]:
    known = set(session.scalars(select(Job.id)))
    for each in submissions:
        if not each.job_ids:
            yield finding(LOST, "", f"{each.key} was never answered: {each.error}")
        elif each.job_ids[0] not in known:
            yield finding(LOST, each.job_ids[0], f"{each.key} was answered, and there is no row")
        if len(set(each.job_ids)) > 1:
            yield finding(DOUBLED, each.job_ids[1], f"{each.key} made {each.job_ids}")
    count = session.execute(select(func.count()).select_from(Job)).scalar_one()
    if count != len(submissions):
        yield finding(DOUBLED, "", f"{len(submissions)} keys made {count} jobs")


def _outcome(session: Session, job: Job) -> Outcome:
    evaluations = [
        (e.step, e.action_mode, e.returns, e.lengths, e.seeds)
        for e in effective_evaluations(session, job)
    ]
    metrics = {
        name: list(read_series(session, job, name, max_points=1_000_000).points)
        for name in metric_names(session, job)
    }
    return {WEIGHTS: job.weights_sha256, EVALUATIONS: evaluations, METRICS: metrics}


def _differences(job_id: str, outcome: Outcome, expected: Outcome) -> Iterator[Finding]:
    for invariant in (WEIGHTS, EVALUATIONS):
        if outcome[invariant] != expected[invariant]:
            text = f"{outcome[invariant]}, not {expected[invariant]}"
            yield finding(invariant, job_id, text[:500])
    if difference := _difference_of_series(outcome[METRICS], expected[METRICS]):
        yield finding(METRICS, job_id, difference)


def _difference_of_series(
    found: Mapping[str, list[tuple[int, Any]]], expected: Mapping[str, list[tuple[int, Any]]]
) -> str | None:
    for key in sorted(found.keys() | expected.keys()):
        have, want = found.get(key, []), expected.get(key, [])
        if have != want:
            missing = [point for point in want if point not in have]
            extra = [point for point in have if point not in want]
            return f"{key}: {len(want)} points, {missing[:2]} missing, {extra[:2]} in excess"
    return None
