"""A comparison as the API shows it."""

from typing import Any

from typing_extensions import TypedDict

from app.group_views import aggregate_view, estimated_view
from app.schemas import AggregateView, CurvePointView, EstimatedView
from store.bootstrap import CONFIDENCE, RESAMPLES
from store.comparison import Comparison, Side
from store.curves import Reached


class ReachedView(TypedDict):
    """`steps` of each job to the first evaluation so high, null of one that never came there.
    `median`: null if half of them did not."""

    n: int
    steps: list[int | None]
    median: float | None


class SideView(TypedDict):
    """A job, or all `jobs` of a group. `at_end`: of those that came to the comparison's `step`.
    `improvement`: the probability that one of them is better there than one of the baseline."""

    id: str
    name: str
    algorithm: str
    jobs: int
    curve: list[CurvePointView]
    at_end: AggregateView | None
    reached: ReachedView | None
    improvement: EstimatedView | None


class ComparisonView(TypedDict):
    """`step`: the last that every side came to. `differences`: of the specs, one value a side."""

    environment_id: str
    step: int | None
    baseline: str
    target: float | None
    sides: list[SideView]
    differences: dict[str, list[Any]]
    confidence: float
    resamples: int


def comparison_view(found: Comparison) -> ComparisonView:
    return {
        "environment_id": found.environment_id,
        "step": found.step,
        "baseline": found.baseline,
        "target": found.target,
        "sides": [_side(side) for side in found.sides],
        "differences": {path: list(values) for path, values in found.differences.items()},
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
    }


def _side(side: Side) -> SideView:
    improvement = side.improvement
    return {
        "id": side.id,
        "name": side.name,
        "algorithm": side.algorithm,
        "jobs": side.jobs,
        "curve": [
            {"step": point.step, "n": point.n, "iqm": estimated_view(point.iqm)}
            for point in side.curve
        ],
        "at_end": aggregate_view(side.at_end),
        "reached": None if side.reached is None else _reached(side.reached),
        "improvement": None if improvement is None else estimated_view(improvement),
    }


def _reached(found: Reached) -> ReachedView:
    return {"n": found.n, "steps": list(found.steps), "median": found.median}
