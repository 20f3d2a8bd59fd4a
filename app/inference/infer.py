"""`POST /v2/models/{name}[/versions/{version}]/infer`: what act does, as this protocol says it.

Documented by hand in `app.openapi_inference`.
"""

import re
import time
from collections.abc import Mapping

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.body import require_unpacked
from app.body_limit import refuse_too_large
from app.inference.answers import infer_reply
from app.inference.requests import has_bytes, json_size, read_infer
from app.inference.rows import read_tensors
from app.problem import request_id
from app.serving.act import Act, deadline, first_headers, in_time, read_all, send_reply
from app.serving.answers import Answered, Reply, choose_actions
from app.serving.details import NOTHING
from app.serving.policies import LoadedPolicies

MODEL = "/v2/models/{name}"
VERSION = f"{MODEL}/versions/{{version}}"
PATHS = (f"{MODEL}/infer", f"{VERSION}/infer")
_PATH = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/infer")


def is_infer(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def infer_routes(infer: "Infer") -> list[Route]:
    return [Route(path, infer, methods=["POST"], name="infer") for path in PATHS]


def reference_of(name: str, version: str | None) -> str:
    """As `store.policies` names a policy: the newest of its name, or a fixed one."""
    return name if version is None else f"{name}:{version}"


class Infer(Act):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = scope["path_params"]
        reference = reference_of(named["name"], named.get("version"))
        await send_reply(send, await self.answer(scope, receive, reference, first_headers(scope)))

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        policies: LoadedPolicies,
        reference: str,
        headers: Mapping[bytes, bytes],
    ) -> Reply:
        begun = time.perf_counter_ns()
        require_unpacked(headers.get(b"content-encoding", b"identity").decode("latin-1"))
        limit = self.array_limit if has_bytes(headers) else self.json_limit
        body = await read_all(receive, headers, limit)
        size = json_size(headers, body)
        if size > self.json_limit.allowed_bytes:
            raise refuse_too_large(self.json_limit)
        request = read_infer(body, size)
        asked = request.asked
        until = deadline(begun, asked.deadline_ms)
        policy = policies.at_hand(reference) or await in_time(policies, reference, until)
        scope["mrq.policy"] = policy
        rows, masks = read_tensors(policy.actor, request.tensors, self.max_batch)
        forwarded = await policy.batcher.submit(rows, until)
        actions, _ = choose_actions(policy.actor, asked, rows, masks, forwarded)
        answered = Answered(policy, request_id(scope), asked, actions, forwarded, NOTHING, begun)
        made = infer_reply(answered, request)
        if policies.traffic:
            policies.mirror(reference, policy, rows, masks, forwarded)
        return made
