"""How long a job may train: the time of its earlier attempts counts, waiting and pauses do not."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from store.spec import JobSpec
from store.states import Reason


@dataclass(frozen=True, kw_only=True)
class Over:
    reason: Reason
    message: str


class TimeLimits:
    def __init__(
        self,
        spec: JobSpec,
        trained_before: float,
        no_progress_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`trained_before`: seconds that count. `no_progress_seconds`: the service's own."""
        self.no_progress_seconds = spec.limits.no_progress_seconds or no_progress_seconds
        self._budget = spec.budget.max_seconds
        self._limit = spec.limits.max_runtime_seconds
        self._clock = clock
        self._began = clock() - trained_before

    def over(self) -> Over | None:
        """Once over, it stays so. Of the two the budget is asked first: it ends the job well."""
        trained = self._clock() - self._began
        if self._budget is not None and trained >= self._budget:
            message = f"Its {self._budget:g} s of training are over."
            return Over(reason=Reason.SECONDS_EXHAUSTED, message=message)
        if self._limit is not None and trained >= self._limit:
            message = (
                f"It trained for {trained:.0f} s; allowed: {self._limit:g} "
                "(limits.max_runtime_seconds)."
            )
            return Over(reason=Reason.MAX_RUNTIME_EXCEEDED, message=message)
        return None
