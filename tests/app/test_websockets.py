"""A WebSocket that is refused; what a server with `websocket.http.response` answers, see
tests/app/serving/test_stream.py."""

import asyncio
from typing import Any

from app.refusals import CrossSiteRequest, Unauthorized
from app.websockets import refuse
from store.errors import NotFound


def test_a_server_that_can_refuse_by_a_code_only() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    for error in (Unauthorized("no"), CrossSiteRequest("no"), NotFound("policy", "x")):
        asyncio.run(refuse({"type": "websocket"}, receive, send, error))
    assert [message["code"] for message in sent] == [1008, 1008, 4404]
    assert {message["type"] for message in sent} == {"websocket.close"}
