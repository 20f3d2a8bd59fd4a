"""What a client gets: JSON, or an array's bytes with the rest in headers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from app.context import RawHeaders
from app.refusals import ActRefused
from app.serving.arrays import described, little_endian_bytes, npy_bytes
from app.serving.bundle import Actor, Reals
from app.serving.masks import Masks
from app.serving.passes import Forwarded
from app.serving.policies import LivePolicy
from app.serving.provenance import NO_HEADERS, FixedHeaders, fixed_headers
from app.serving.requests import ActRequest
from app.serving.seen import rows_outside
from mrq_core.spaces import Floats

# Nothing in it needs escaping: the mode is one of a few words, the id is of hexadecimal digits.
_JSON = (
    b'{%b%b,"mode":"%b","request_id":"%b","timing":'
    b'{"queue_us":%d,"compute_us":%d,"batch_size":%d,"total_us":%d}}'
)


@dataclass(slots=True)
class Reply:
    """`described`: of an array, what it is. `timing`: as W3C's Server Timing has it."""

    fixed: FixedHeaders
    described: FixedHeaders
    timing: bytes
    body: bytes

    @property
    def headers(self) -> RawHeaders:
        length = (b"content-length", b"%d" % len(self.body))
        timing = (b"server-timing", self.timing)
        return [*self.fixed.raw, *self.described.raw, length, timing]


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


def warnings_of(policy: LivePolicy, forwarded: Forwarded, is_batch: bool) -> list[str]:
    """Of observations that are unlike those of the training."""
    outside, seen = forwarded.outside, policy.actor.seen
    if outside is None or seen is None:
        return []
    return seen.warnings(forwarded.rows, outside, is_batch=is_batch)


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
    """Put together by hand: all of it but the actions and the times is known before."""
    actions = answered.actions.tolist()
    policy, forwarded, asked = answered.policy, answered.forwarded, answered.asked
    named = b'"actions":%b,' if asked.is_batch else b'"action":%b,'
    first = named % orjson.dumps(actions if asked.is_batch else actions[0])
    if answered.details:
        first += b"%b," % orjson.dumps(answered.details)[1:-1]
    if warnings := warnings_of(policy, forwarded, bool(asked.is_batch)):
        first += b'"warnings":%b,' % orjson.dumps(warnings)
    total_us = answered.finish()
    body = _JSON % (
        first,
        policy.provenance.json,
        asked.mode.encode(),
        answered.request_id.encode(),
        *(forwarded.queue_us, forwarded.compute_us, forwarded.batch_size, total_us),
    )
    return Reply(
        policy.provenance.json_headers, NO_HEADERS, server_timing(forwarded, total_us), body
    )


def raw_reply(answered: Answered) -> Reply:
    """Little-endian, in C order."""
    array = _one_or_all(answered)
    fixed, body = answered.policy.provenance.raw_headers, little_endian_bytes(array)
    shape = described(array.dtype, array.shape)
    return Reply(fixed, _with_warnings(answered, shape), _finish_array(answered), body)


def npy_reply(answered: Answered) -> Reply:
    fixed, body = answered.policy.provenance.npy_headers, npy_bytes(_one_or_all(answered))
    return Reply(fixed, _with_warnings(answered, NO_HEADERS), _finish_array(answered), body)


def _with_warnings(answered: Answered, headers: FixedHeaders) -> FixedHeaders:
    """Of an array there is room for their number."""
    outside = answered.forwarded.outside
    if outside is None:
        return headers
    number = (b"x-warnings", b"%d" % rows_outside(outside))
    return fixed_headers([*headers.raw, number])


def _one_or_all(answered: Answered) -> NDArray[Any]:
    return np.asarray(answered.actions if answered.asked.is_batch else answered.actions[0])


def _finish_array(answered: Answered) -> bytes:
    if answered.details:
        text = "Only JSON has room for `return`: ask for it with `Accept: application/json`."
        raise ActRefused("return_needs_json", text, param="Accept")
    return server_timing(answered.forwarded, answered.finish())


def server_timing(forwarded: Forwarded, total_us: int) -> bytes:
    """In milliseconds."""
    return b"queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f" % (
        forwarded.queue_us / 1000,
        forwarded.compute_us / 1000,
        total_us / 1000,
    )
