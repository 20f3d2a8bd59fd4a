"""What a stream says: where an episode begins, the action of a step, and what was wrong."""

from collections.abc import Mapping
from typing import Any

import msgspec

from app.problem import Problem, shortened
from app.refusals import DeadlineExceeded
from app.serving.policies import LivePolicy
from app.serving.requests import MAX_DEADLINE_MS


class Timing(msgspec.Struct, gc=False):
    queue_us: int
    compute_us: int
    total_us: int


class Reply(msgspec.Struct, omit_defaults=True, gc=False):
    t: int
    action: Any
    version: int
    timing: Timing
    action_id: str | None = None
    feedback: str | None = None  # what became of the reward, if it did not join
    warnings: list[str] = []


def metadata(
    policy: LivePolicy, episode: str, request_id: str, more: Mapping[str, Any]
) -> dict[str, Any]:
    """What the client has to know of the episode that begins."""
    actor = policy.actor
    return {
        "type": "metadata",
        "policy_id": policy.id,
        "name": policy.name,
        "version": policy.version,
        "history": actor.frames.history,
        "observation_space": actor.observation_space.to_json(),
        "frame_space": actor.frames.space.to_json(),
        "action_space": actor.action_space.to_json(),
        "max_deadline_ms": MAX_DEADLINE_MS,
        "episode": episode,
        "request_id": request_id,
        **more,
    }


def refusal(t: int | None, error: Exception, problem: Problem) -> dict[str, Any]:
    """`problem` is the error's. `t` None: it could not be read."""
    told = {
        **problem.details,
        "status": problem.status,
        "code": problem.code,
        "detail": shortened(problem.detail),
        "param": problem.param,
    }
    late = {"late": True} if isinstance(error, DeadlineExceeded) else {}
    return {"t": t, **late, "error": told}
