"""A comparison as the API shows it."""

from app.group_views import aggregate_view, estimated_view
from app.schemas import ComparisonView, ReachedView, SideView
from store.bootstrap import CONFIDENCE, RESAMPLES
from store.comparison import Comparison, Side
from store.curves import Reached


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
