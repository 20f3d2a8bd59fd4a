"""`POST /policies/{reference}/act`: plain ASGI inside the FastAPI app, to cost little.

Documented by hand in `app.openapi_act`; errors, key, limits and headers are those of every route.
`app.serving.door` leads here by a short way.
"""

import asyncio
import time
from collections.abc import Mapping
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.body_limit import Limit, refuse_too_large
from app.context import RawHeaders
from app.errors import problem_of
from app.problem import request_id
from app.refusals import DeadlineExceeded
from app.serving.action_log import ActionLog, logged, require_loggable
from app.serving.answers import Answered, Reply, choose_actions, json_reply
from app.serving.details import NOTHING, Chosen, Details
from app.serving.masks import read_masks
from app.serving.media import reply_form, request_form
from app.serving.observation import read_rows
from app.serving.policies import LivePolicy, LoadedPolicies
from app.serving.sessions import Sessions
from app.serving.turns import Turn, begin_turn

PATH = "/policies/{reference}/act"


def act_route(act: "Act") -> Route:
    return Route(PATH, act, methods=["POST"], name="act")


class Act:
    def __init__(self, max_batch: int, json_limit: Limit, array_limit: Limit) -> None:
        """JSON keeps the event loop while it is read; an array's bytes cost next to nothing."""
        self.max_batch = max_batch
        self.json_limit = json_limit
        self.array_limit = array_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reference = scope["path_params"]["reference"]
        await send_reply(send, await self.answer(scope, receive, reference, first_headers(scope)))

    async def answer(
        self, scope: Scope, receive: Receive, reference: str, headers: Mapping[bytes, bytes]
    ) -> Reply:
        policies: LoadedPolicies = scope["app"].state.policies
        try:
            return await self._answer(scope, receive, policies, reference, headers)
        except ClientDisconnect:
            raise
        except Exception as error:
            status = problem_of(error).status
            policies.count_failure(reference, status, scope.get("mrq.policy"))
            raise

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        policies: LoadedPolicies,
        reference: str,
        headers: Mapping[bytes, bytes],
    ) -> Reply:
        begun = time.perf_counter_ns()
        form, reply = request_form(headers), reply_form(headers)
        limit = self.json_limit if form.is_json else self.array_limit
        body = await read_all(receive, headers, limit)
        turn: Turn | None = None
        policy = scope["mrq.policy"] = policies.at_hand(reference)
        typed = policy.reader.read(body) if policy is not None and form.is_json else None
        if policy is not None and typed is not None:
            rows, asked, masks = *typed, None
            until = deadline(begun, asked.deadline_ms)
        else:
            asked = form.reader(headers)(body)
            until = deadline(begun, asked.deadline_ms)
            if asked.held is None:
                policy = policy or await in_time(policies, reference, until)
                scope["mrq.policy"] = policy
                rows, asked.is_batch = read_rows(
                    policy.actor.observation_space, asked.value, asked.is_batch, self.max_batch
                )
            else:
                as_json = (reply or form.reply) is json_reply
                find = partial(acting, policies, until=until, episode=asked.episode)
                sessions: Sessions = scope["app"].state.sessions
                turn = await begin_turn(sessions, asked, reference, find, as_json)
                policy, rows = turn.policy, turn.rows
                scope["mrq.policy"] = policy
            batch = len(rows) if asked.is_batch else None
            masks = read_masks(policy.actor.codec, asked.mask, batch)
        if asked.log:
            if turn is None and asked.episode is not None and policies.traffic:
                policy = await policies.of_episode(reference, asked.episode, policy)
                scope["mrq.policy"] = policy
            require_loggable(policy, asked, (reply or form.reply) is json_reply)
        forwarded = await policy.batcher.submit(rows, until)
        actions, drawn = choose_actions(policy.actor, asked, rows, masks, forwarded)
        more = NOTHING
        if asked.returns or asked.log:
            chosen = Chosen(forwarded.outputs, actions, drawn, masks)
            more = await Details(policies, policy, rows, until).found(asked, chosen)
            if asked.log:
                if turn is not None:
                    turn.require_next()
                log: ActionLog = scope["app"].state.action_log
                more |= await logged(log, policy, asked, rows, chosen)
        if turn is not None:
            told = turn.end()
            more = {**more, **told} if (reply or form.reply) is json_reply else more
        answered = Answered(policy, request_id(scope), asked, actions, forwarded, more, begun)
        made = (reply or form.reply)(answered)
        if policies.traffic:
            policies.mirror(reference, policy, rows, masks, forwarded)
        return made


def first_headers(scope: Scope) -> dict[bytes, bytes]:
    """Of those of one name the first, as everywhere here."""
    return dict(reversed(scope["headers"]))


async def send_reply(send: Send, reply: Reply, added: RawHeaders | None = None) -> None:
    headers = [*reply.headers, *(added or ())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def read_all(receive: Receive, headers: Mapping[bytes, bytes], limit: Limit) -> bytes:
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > limit.allowed_bytes:
        raise refuse_too_large(limit)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit.allowed_bytes:
            raise refuse_too_large(limit)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def deadline(begun: int, deadline_ms: float | None) -> int | None:
    return None if deadline_ms is None else begun + int(deadline_ms * 1e6)


async def acting(
    policies: LoadedPolicies, reference: str, until: int | None, episode: str | None
) -> LivePolicy:
    """Of a name whose traffic is divided, an episode's own."""
    policy = await in_time(policies, reference, until)
    return policy if episode is None else await policies.of_episode(reference, episode, policy)


async def in_time(policies: LoadedPolicies, reference: str, until: int | None) -> LivePolicy:
    if until is None:
        return await policies.acting(reference)
    left = (until - time.perf_counter_ns()) / 1e9
    try:
        return await asyncio.wait_for(policies.acting(reference), max(0.0, left))
    except TimeoutError:
        text = "The policy was not loaded before the deadline of this request."
        raise DeadlineExceeded(text, param="deadline_ms") from None
