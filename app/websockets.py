"""A WebSocket that is not let in: the problem as an HTTP answer, before the socket is one."""

from starlette.types import Receive, Scope, Send

from app.context import Sending, for_every_answer
from app.errors import error_response, problem_of
from app.problem import request_id

POLICY_VIOLATION = 1008
# Of codes that an application may choose, for servers that can give no HTTP answer here.
_OF_STATUS = 4000


async def refuse(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        answer = error_response(scope, error)
        await answer(scope, receive, Sending(send, for_every_answer(request_id(scope))))
        return
    status = problem_of(error).status
    code = POLICY_VIOLATION if status in (401, 403) else _OF_STATUS + status
    await send({"type": "websocket.close", "code": code})
