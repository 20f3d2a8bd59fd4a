"""What an evaluation by a log says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mrq_core.intervals import CONFIDENCE
from mrq_core.off_policy.resampling import Interval


@dataclass(frozen=True, kw_only=True)
class OffPolicyEstimate:
    """Discounted returns of an episode. `fitted`: of the policy, by fitted Q evaluation; `weighted`
    by importance weights, None where there are no propensities or no step agrees. `logged`: what
    was gained in the log. `lead`: of the policy over it, by the same resamples."""

    discount: float
    episodes: int
    fitted: Interval
    logged: Interval
    lead: Interval
    weighted: Interval | None
    effective_episodes: float | None  # of `weighted`

    def to_json(self) -> dict[str, Any]:
        return {"confidence": CONFIDENCE, **asdict(self)}
