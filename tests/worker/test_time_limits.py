"""When a job has trained for long enough, by a clock that stands where it is set."""

from typing import Any

import pytest

from store.spec import JobSpec
from store.states import Reason
from worker.time_limits import TimeLimits

now = 0.0


def _spec(**parts: Any) -> JobSpec:
    smallest = {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 100}}
    return JobSpec.model_validate(smallest | parts)


def _limits(before: float, *, budget: float | None = None, limit: float | None = None) -> Any:
    spec = _spec(
        budget={"total_steps": 100, "max_seconds": budget}, limits={"max_runtime_seconds": limit}
    )
    return TimeLimits(spec, before, 300.0, clock=lambda: now)


@pytest.mark.parametrize(
    ("before", "budget", "limit", "at", "reason"),
    [
        (0, None, None, 1e9, None),
        (0, 10, None, 9.9, None),
        (0, 10, None, 10, Reason.SECONDS_EXHAUSTED),
        (7, 10, None, 3, Reason.SECONDS_EXHAUSTED),
        (0, None, 10, 9.9, None),
        (7, None, 10, 3, Reason.MAX_RUNTIME_EXCEEDED),
        (0, 10, 5, 7, Reason.MAX_RUNTIME_EXCEEDED),
        (0, 10, 10, 10, Reason.SECONDS_EXHAUSTED),
    ],
)
def test_what_is_over_when(
    monkeypatch: pytest.MonkeyPatch,
    before: float,
    budget: float | None,
    limit: float | None,
    at: float,
    reason: Reason | None,
) -> None:
    times = _limits(before, budget=budget, limit=limit)
    monkeypatch.setattr(f"{__name__}.now", at)
    over = times.over()
    assert (None if over is None else over.reason) == reason


def test_a_job_may_have_less_patience_than_the_service() -> None:
    spec = _spec(limits={"no_progress_seconds": 30})
    assert TimeLimits(spec, 0.0, 300.0).no_progress_seconds == 30.0


def test_the_services_own_patience_where_the_job_says_nothing() -> None:
    assert _limits(0).no_progress_seconds == 300.0
