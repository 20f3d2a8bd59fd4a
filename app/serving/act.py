"""`POST /policies/{reference}/act`: plain ASGI inside the FastAPI app, to cost little.

Documented by hand in `app.openapi`; errors, key, limits and headers are those of every route.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.body import refuse_ambiguous, require_json
from app.problem import request_id
from app.refusals import ActRefused, MalformedBody, NonFiniteNumber
from app.serving.batching import Forwarded
from app.serving.masks import Masks, read_masks
from app.serving.observation import read_observation, read_observations
from app.serving.policies import LivePolicy, LoadedPolicies
from mrq_core.spaces import Floats, describe

PATH = "/policies/{reference}/act"
FIELDS = frozenset({"observation", "observations", "mode", "seed", "action_mask"})
MODES = ("deterministic", "sample")
MAX_SEED = 2**53 - 1  # what every JSON reader keeps exactly


@dataclass(frozen=True, slots=True)
class ActRequest:
    value: Any
    is_batch: bool
    mode: str
    seed: int | None
    mask: Any = None


def act_route(max_batch: int) -> Route:
    return Route(PATH, _Act(max_batch), methods=["POST"], name="act")


class _Act:
    def __init__(self, max_batch: int) -> None:
        self.max_batch = max_batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter_ns()
        require_json(Headers(scope=scope))
        asked = read_request(await _read_all(receive))
        policies: LoadedPolicies = scope["app"].state.policies
        policy = await policies.get(scope["path_params"]["reference"])
        rows = self._rows(policy, asked)
        masks = read_masks(policy.actor.codec, asked.mask, len(rows) if asked.is_batch else None)
        forwarded = await policy.batcher.submit(rows)
        answer = {
            **_actions(policy, asked, rows, masks, forwarded),
            "policy_id": policy.id,
            "name": policy.name,
            "version": policy.version,
            "checkpoint_id": policy.checkpoint_id,
            "mode": asked.mode,
            "request_id": request_id(scope),
            "timing": _timing(forwarded, begun),
        }
        await _send_json(send, answer)

    def _rows(self, policy: LivePolicy, asked: ActRequest) -> Floats:
        space = policy.actor.observation_space
        if asked.is_batch:
            return read_observations(space, asked.value, self.max_batch)
        return read_observation(space, asked.value)


def read_request(body: bytes) -> ActRequest:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _unreadable(body, error) from None
    if not isinstance(data, dict):
        raise MalformedBody("The body must be a JSON object.", param="body")
    if unknown := data.keys() - FIELDS:
        field = sorted(unknown)[0][:80]
        allowed = ", ".join(sorted(FIELDS))
        text = f"{field!r} is not a field here; allowed: {allowed}."
        raise ActRefused("unknown_field", text, param=field)
    is_batch = "observations" in data
    if is_batch == ("observation" in data):
        text = "Give exactly one of observation and observations."
        raise ActRefused("observation_missing", text, param="observation")
    mode, seed = _mode_and_seed(data)
    value = data["observations" if is_batch else "observation"]
    return ActRequest(value, is_batch, mode, seed, data.get("action_mask"))


def _unreadable(body: bytes, error: orjson.JSONDecodeError) -> Exception:
    """A NaN deserves a better word than "unexpected character"."""
    try:
        refuse_ambiguous(body)
    except NonFiniteNumber as refusal:
        return ActRefused("observation_not_finite", refusal.message, param="observation")
    except MalformedBody as refusal:
        return refusal
    return MalformedBody(f"The body is not JSON: {error}.", param="body")


def _mode_and_seed(data: dict[str, Any]) -> tuple[str, int | None]:
    mode, seed = data.get("mode", "deterministic"), data.get("seed")
    if mode not in MODES:
        text = f"mode={describe(mode)} must be one of {', '.join(MODES)}."
        raise ActRefused("mode_unsupported", text, param="mode")
    if seed is None:
        return mode, None
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        text = f"seed={describe(seed)} must be an integer from 0 to {MAX_SEED}."
        raise ActRefused("seed_invalid", text, param="seed")
    if mode != "sample":
        text = f"seed={seed} has no meaning with mode={mode!r}; allowed with mode='sample' only."
        raise ActRefused("seed_without_sample", text, param="seed")
    return mode, seed


def _actions(
    policy: LivePolicy, asked: ActRequest, rows: Floats, masks: Masks | None, forwarded: Forwarded
) -> dict[str, Any]:
    outputs = forwarded.outputs
    if not np.isfinite(outputs).all():
        text = "The policy has no finite action for these values: they are too large for it."
        raise ActRefused("observation_out_of_range", text, param="observation")
    actor = policy.actor
    if asked.mode == "sample":
        actions = actor.sample(outputs, rows, asked.seed, masks).tolist()
    else:
        actions = actor.deterministic(outputs, masks).tolist()
    return {"actions": actions} if asked.is_batch else {"action": actions[0]}


def _timing(forwarded: Forwarded, begun: int) -> dict[str, int]:
    return {
        "queue_us": forwarded.queue_us,
        "compute_us": forwarded.compute_us,
        "batch_size": forwarded.batch_size,
        "total_us": (time.perf_counter_ns() - begun) // 1000,
    }


async def _read_all(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return body


async def _send_json(send: Send, answer: dict[str, Any]) -> None:
    body = orjson.dumps(answer)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
