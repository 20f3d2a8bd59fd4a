"""An act request as nearly all clients send it, answered without ASGI, tasks or futures.

Here is decided whether it is such a request: the key in `Authorization`, a policy in memory, an
observation and nothing more than a deadline. All others go through `app.serving.door`.
`app.serving.protocol` brings the requests from their connections.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Scope

from app.context import NO_STORE, RawHeaders, begin, for_every_answer, new_request_id
from app.errors import error_response, problem_of
from app.serving.act import Act, deadline
from app.serving.answers import Answered, Reply, ReplyForm, choose_actions
from app.serving.details import NOTHING
from app.serving.door import ActDoor
from app.serving.media import reply_form, request_form
from app.serving.observation import read_rows
from app.serving.passes import Forwarded
from app.serving.policies import LivePolicy, LoadedPolicies
from app.serving.requests import ActRequest, Reader
from mrq_core.spaces import Floats
from store.errors import DomainError

# Nothing that would have to be decoded, and no query.
_PATH = re.compile(rb"(?:/v1)?(/policies/([A-Za-z0-9._:@~-]+)/act)")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the head of a request says. Those of one connection mostly say the same."""

    path: str
    reference: str
    headers: Mapping[bytes, bytes]
    read: Reader
    reply: ReplyForm
    is_json: bool
    allowed_bytes: int


@dataclass(slots=True)
class Order:
    """A request that has been read."""

    plan: Plan
    policy: LivePolicy
    rows: Floats  # (B, D)
    asked: ActRequest
    begun: int  # of `perf_counter_ns`

    @property
    def until(self) -> int | None:
        return deadline(self.begun, self.asked.deadline_ms)


class QuickAct:
    """Used on the event loop only, while the server runs."""

    def __init__(self, door: ActDoor, policies: LoadedPolicies) -> None:
        self._act: Act = door.act
        self._knows = door.key_check.knows
        self._policies = policies

    def plan(self, url: bytes, headers: RawHeaders) -> Plan | None:
        """`headers`: all but the length of the body, with names in lower case."""
        matched = _PATH.fullmatch(url)
        named = dict(reversed(headers))  # of those of one name the first, as everywhere here
        if matched is None or b"expect" in named or b"transfer-encoding" in named:
            return None
        if not self._knows(named.get(b"authorization")):
            return None
        try:
            form, reply = request_form(named), reply_form(named)
            read = form.reader(named)
        except DomainError:
            return None
        path, reference = (part.decode() for part in matched.groups())
        limit = self._act.json_limit if form.is_json else self._act.array_limit
        return Plan(
            path, reference, named, read, reply or form.reply, form.is_json, limit.allowed_bytes
        )

    def read(self, plan: Plan, body: bytes, begun: int) -> Order | None:
        """`begun`: when the head was there, of `perf_counter_ns`. None is for the door. Raises what
        is wrong with an array."""
        policy = self._policies.at_hand(plan.reference)
        if policy is None:
            return None
        if plan.is_json:
            typed = policy.reader.read(body)
            return None if typed is None else Order(plan, policy, *typed, begun)
        asked = plan.read(body)
        if not asked.is_plain:
            return None
        space, most = policy.actor.observation_space, self._act.max_batch
        rows, asked.is_batch = read_rows(space, asked.value, asked.is_batch, most)
        return Order(plan, policy, rows, asked, begun)

    def reply(self, order: Order, forwarded: Forwarded) -> tuple[str, Reply]:
        """The id of the request, and its answer without those headers that all answers have."""
        policy, asked = order.policy, order.asked
        actions, _ = choose_actions(policy.actor, asked, order.rows, None, forwarded)
        identity = new_request_id()
        answered = Answered(policy, identity, asked, actions, forwarded, NOTHING, order.begun)
        reply = order.plan.reply(answered)
        if self._policies.traffic:
            self._policies.mirror(order.plan.reference, policy, order.rows, None, forwarded)
        return identity, reply

    def refusal(
        self, plan: Plan, order: Order | None, error: Exception
    ) -> tuple[int, RawHeaders, bytes]:
        """The status, all headers, and the body: as the door would have answered."""
        policy = None if order is None else order.policy
        self._policies.count_failure(plan.reference, problem_of(error).status, policy)
        headers = list(plan.headers.items())
        scope: Scope = {"type": "http", "method": "POST", "path": plan.path, "headers": headers}
        identity = begin(scope)
        answer = error_response(scope, error)
        added = [*for_every_answer(identity), NO_STORE]
        return answer.status_code, [*answer.raw_headers, *added], bytes(answer.body)
