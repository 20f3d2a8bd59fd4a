"""What a client gets: JSON, or an array's bytes with the rest in headers."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from app.context import RawHeaders
from app.refusals import ActRefused
from app.serving.arrays import little_endian, npy_bytes, shape_text
from app.serving.bundle import Actor, Reals
from app.serving.masks import Masks
from app.serving.passes import Forwarded
from app.serving.policies import LivePolicy
from app.serving.requests import ActRequest
from mrq_core.spaces import Floats

Reply: TypeAlias = tuple[RawHeaders, bytes]
ReplyForm: TypeAlias = Callable[["Answered"], Reply]


class Answered:
    """A request, the actions for it and where they come from."""

    __slots__ = ("actions", "asked", "begun", "details", "forwarded", "policy", "request_id")

    def __init__(
        self,
        policy: LivePolicy,
        request_id: str,
        asked: ActRequest,
        actions: NDArray[Any],
        forwarded: Forwarded,
        details: Mapping[str, Any],
        begun: int,
    ) -> None:
        self.policy = policy
        self.request_id = request_id
        self.asked = asked
        self.actions = actions  # (B, ...)
        self.forwarded = forwarded
        self.details = details
        self.begun = begun

    def finish(self) -> int:
        """Microseconds since the request came."""
        total_us = (time.perf_counter_ns() - self.begun) // 1000
        self.policy.measures.answered(self.forwarded.queue_us, total_us)
        return total_us


def choose_actions(
    actor: Actor, asked: ActRequest, rows: Floats, masks: Masks | None, forwarded: Forwarded
) -> tuple[NDArray[Any], Reals | None]:
    """(B, ...), in the environment's units, and what was drawn for a sample."""
    if not forwarded.is_finite:
        text = "The policy has no finite action for these values: they are too large for it."
        raise ActRefused("observation_out_of_range", text, param="observation")
    if asked.mode == "sample":
        drawn = actor.draw(forwarded.outputs, rows, asked.seed)
        return actor.noisy(forwarded.outputs, drawn, masks), drawn
    if masks is not None:
        return actor.deterministic(forwarded.outputs, masks), None
    return forwarded.actions(actor), None


def json_reply(answered: Answered) -> Reply:
    actions = answered.actions.tolist()
    policy, forwarded = answered.policy, answered.forwarded
    total_us = answered.finish()
    body = orjson.dumps(
        {
            **({"actions": actions} if answered.asked.is_batch else {"action": actions[0]}),
            **answered.details,
            "policy_id": policy.id,
            "name": policy.name,
            "version": policy.version,
            "checkpoint_id": policy.checkpoint_id,
            "mode": answered.asked.mode,
            "request_id": answered.request_id,
            "timing": {
                "queue_us": forwarded.queue_us,
                "compute_us": forwarded.compute_us,
                "batch_size": forwarded.batch_size,
                "total_us": total_us,
            },
        }
    )
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        policy.version_header,
        server_timing(forwarded, total_us),
    ], body


def raw_reply(answered: Answered) -> Reply:
    """Little-endian, in C order."""
    array = _one_or_all(answered)
    little = array.astype(little_endian(array.dtype), copy=False)
    described = [
        (b"x-shape", shape_text(array.shape)),
        (b"x-dtype", str(array.dtype).encode()),
    ]
    return _array_reply(answered, b"application/octet-stream", little.tobytes(), described)


def npy_reply(answered: Answered) -> Reply:
    return _array_reply(answered, b"application/x-npy", npy_bytes(_one_or_all(answered)), [])


def _one_or_all(answered: Answered) -> NDArray[Any]:
    return np.asarray(answered.actions if answered.asked.is_batch else answered.actions[0])


def _array_reply(
    answered: Answered, media_type: bytes, body: bytes, described: RawHeaders
) -> Reply:
    if answered.details:
        text = "Only JSON has room for `return`: ask for it with `Accept: application/json`."
        raise ActRefused("return_needs_json", text, param="Accept")
    policy = answered.policy
    total_us = answered.finish()
    return [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        *described,
        (b"x-policy-id", policy.id.encode()),
        policy.version_header,
        server_timing(answered.forwarded, total_us),
    ], body


def server_timing(forwarded: Forwarded, total_us: int) -> tuple[bytes, bytes]:
    """In milliseconds, as W3C's Server Timing has it."""
    return b"server-timing", b"queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f" % (
        forwarded.queue_us / 1000,
        forwarded.compute_us / 1000,
        total_us / 1000,
    )
