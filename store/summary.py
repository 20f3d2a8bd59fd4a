"""What the seeds of a group say together, and how many of them say it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from store.bootstrap import Aggregate, Estimated, aggregate, estimated, interquartile_mean
from store.series import effective_evaluations
from store.states import JobStatus
from store.tables import Evaluation, Job


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """`iqm` of the mean returns of the `n` jobs that were evaluated after this step."""

    step: int
    n: int
    iqm: Estimated


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Of the jobs that succeeded. `last`: the mean return of each one's last evaluation, which is
    what papers report. `best`: its highest mean return, which chance flatters. None of none.
    `missing`: the other jobs, by status; without its failures a summary is too good."""

    last: Aggregate | None
    best: Aggregate | None
    missing: Mapping[str, int]
    curve: Sequence[CurvePoint]


def summarise(session: Session, jobs: Sequence[Job]) -> Summary:
    evaluations = {job.number: effective_evaluations(session, job) for job in jobs}
    succeeded = [job.number for job in jobs if job.status == JobStatus.SUCCEEDED]
    scored = [evaluations[number] for number in succeeded if evaluations[number]]
    return Summary(
        last=aggregate([rows[-1].return_mean for rows in scored]),
        best=aggregate([max(row.return_mean for row in rows) for rows in scored]),
        missing=Counter(job.status for job in jobs if job.status != JobStatus.SUCCEEDED),
        curve=_curve(evaluations.values()),
    )


def _curve(evaluations: Iterable[Sequence[Evaluation]]) -> list[CurvePoint]:
    by_step: dict[int, list[float]] = defaultdict(list)
    for rows in evaluations:
        for row in rows:
            by_step[row.step].append(row.return_mean)
    return [
        CurvePoint(step=step, n=len(values), iqm=estimated(values, interquartile_mean))
        for step, values in sorted(by_step.items())
    ]
