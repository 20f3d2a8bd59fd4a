"""What an evaluation by a log says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mrq_core.intervals import CONFIDENCE
from mrq_core.off_policy.resampling import Interval


@dataclass(frozen=True, kw_only=True)
class OffPolicyEstimate:
    """Discounted returns of an episode. `fitted`: of the policy, by fitted Q evaluation; `lead`: of
    that over the value of whoever was logged, by the same fit and resamples, None where it is
    nowhere known what was done next. `logged`: what was gained in the log; `weighted`: of the
    policy, by importance weights, None where there are no propensities or no episode agrees to its
    end. These two stop where an episode was cut off."""

    discount: float
    episodes: int
    fitted: Interval
    logged: Interval
    lead: Interval | None
    weighted: Interval | None
    effective_episodes: float | None  # of `weighted`

    def to_json(self) -> dict[str, Any]:
        return {"confidence": CONFIDENCE, **asdict(self)}
