"""Jobs and groups side by side: who learned how much, and how soon."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from store.bootstrap import Aggregate, Estimated, aggregate
from store.curves import (
    Curve,
    GridPoint,
    Reached,
    grid_of,
    on_grid,
    probability_of_improvement,
    reached,
    values_at,
)
from store.errors import InvalidInput, NotFound
from store.groups import get_group, jobs_of
from store.jobs import get_job
from store.series import effective_evaluations
from store.tables import Job

FEWEST, MOST = 2, 10
# Runs of one side beside the others: a resampling looks at every pair.
MOST_RUNS = 64


@dataclass(frozen=True, kw_only=True)
class Side:
    """`jobs` of a group, or the one job. `at_end`: of those that came to the common last step,
    which is None of a side that was never evaluated."""

    id: str
    name: str
    algorithm: str
    jobs: int
    curve: Sequence[GridPoint]
    at_end: Aggregate | None
    reached: Reached | None
    improvement: Estimated | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`step`: the last one that a run of every side came to; all are compared there. `improvement`
    of a side is the probability that it is better there than `baseline`. `differences`: of the
    sides' specs, by path."""

    environment_id: str
    step: int | None
    baseline: str
    target: float | None
    sides: Sequence[Side]
    differences: Mapping[str, Sequence[Any]]


def compare(
    session: Session, ids: Sequence[str], *, baseline: str | None, target: float | None
) -> Comparison:
    """`ids` of jobs and of groups. NotFound, and InvalidInput for what cannot be compared."""
    _require_ids(ids, baseline)
    found = [_jobs(session, identity) for identity in ids]
    environment_id = _one_environment(ids, found)
    curves = [[_curve(session, job) for job in jobs] for _, jobs in found]
    ends = [max((curve[-1][0] for curve in runs if curve), default=None) for runs in curves]
    step = None if None in ends else min(end for end in ends if end is not None)
    first = ids[0] if baseline is None else baseline
    others = [] if step is None else values_at(curves[ids.index(first)], step)
    last = step if step is not None else max((end for end in ends if end is not None), default=0)
    grid = grid_of([curve for runs in curves for curve in runs], last)
    return Comparison(
        environment_id=environment_id,
        step=step,
        baseline=first,
        target=target,
        sides=[
            Side(
                id=identity,
                name=name,
                algorithm=jobs[0].spec["algorithm"]["name"],
                jobs=len(jobs),
                curve=on_grid(runs, grid),
                at_end=aggregate(values) if (values := _values(runs, step)) else None,
                reached=None if target is None else reached(runs, target),
                improvement=probability_of_improvement(values, others)
                if values and others
                else None,
            )
            for identity, (name, jobs), runs in zip(ids, found, curves, strict=True)
        ],
        differences=_differences([jobs[0].spec for _, jobs in found]),
    )


def _require_ids(ids: Sequence[str], baseline: str | None) -> None:
    if not FEWEST <= len(ids) <= MOST:
        text = f"ids names {len(ids)}; allowed: {FEWEST} to {MOST} jobs or groups"
        raise InvalidInput(f"{text}, with commas between.", param="ids")
    doubled = sorted({identity for identity in ids if ids.count(identity) > 1})
    if doubled:
        text = f"ids names {doubled[0][:64]!r} more than once; allowed: each once."
        raise InvalidInput(text, param="ids")
    if baseline is not None and baseline not in ids:
        text = f"baseline={baseline[:64]!r} is none of ids; allowed: {', '.join(ids)[:400]}."
        raise InvalidInput(text, param="baseline")


def _jobs(session: Session, identity: str) -> tuple[str, Sequence[Job]]:
    """With the name of the whole."""
    try:
        return _found(session, identity)
    except NotFound:
        kind = "group" if identity.startswith("grp_") else "job"
        raise NotFound(kind, identity, param="ids") from None


def _found(session: Session, identity: str) -> tuple[str, Sequence[Job]]:
    if identity.startswith("grp_"):
        group = get_group(session, identity)
        jobs = jobs_of(session, group)
        if len(jobs) > MOST_RUNS:
            text = f"ids: {identity} has {len(jobs)} jobs; allowed: {MOST_RUNS} at most."
            raise InvalidInput(text, param="ids")
        return group.name, jobs
    job = get_job(session, identity)
    return job.name, [job]


def _one_environment(ids: Sequence[str], found: Sequence[tuple[str, Sequence[Job]]]) -> str:
    """Returns of two environments, or on two datasets, say nothing about each other."""
    of = [_where(jobs[0].spec["environment"]) for _, jobs in found]
    for identity, where in zip(ids, of, strict=True):
        if where != of[0]:
            raise InvalidInput(
                f"ids: {identity} is of {' on '.join(where)}, and {ids[0]} of "
                f"{' on '.join(of[0])}; allowed: jobs and groups of one environment, and of one "
                "dataset.",
                param="ids",
            )
    return of[0][0]


def _where(environment: Mapping[str, Any]) -> tuple[str, ...]:
    dataset = environment.get("dataset")
    return (environment["id"],) if dataset is None else (environment["id"], dataset["sha256"])


def _curve(session: Session, job: Job) -> Curve:
    return [(row.step, row.return_mean) for row in effective_evaluations(session, job)]


def _values(runs: Sequence[Curve], step: int | None) -> list[float]:
    return [] if step is None else values_at(runs, step)


def _differences(specs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Seeds and names differ always, and say nothing."""
    flat = [dict(_leaves(spec, "")) for spec in specs]
    paths = list(dict.fromkeys(path for each in flat for path in each))
    return {
        path: [each.get(path) for each in flat]
        for path in paths
        if path not in ("name", "seed")
        and any(each.get(path) != flat[0].get(path) for each in flat)
    }


def _leaves(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, below in value.items():
        name = f"{path}.{key}" if path else key
        if isinstance(below, Mapping):
            yield from _leaves(below, name)
        else:
            yield name, below
