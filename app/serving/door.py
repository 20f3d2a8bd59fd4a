"""The short way of an act request past the middlewares and the router.

It does what they do for every other request - the id, the key, the security headers, problems - by
their own functions, in one place and once. What it does not recognise goes the long way, which
ends at the same `Act`.
"""

import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.auth import KeyCheck
from app.context import NO_STORE, Sending, begin, for_every_answer
from app.errors import error_response
from app.serving.act import Act, first_headers, send_reply

# As `PATH` and `VERSION_PREFIX` say.
_PATH = re.compile(r"(?:/v1)?/policies/([^/]+)/act")


class ActDoor:
    def __init__(self, act: Act, key: Callable[[], str]) -> None:
        self.act = act
        self.key_check = KeyCheck(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, reference: str) -> None:
        added = for_every_answer(begin(scope))
        headers = first_headers(scope)
        try:
            if not self.key_check.knows(headers.get(b"authorization")):
                self.key_check.admit("POST", Headers(scope=scope))
            reply = await self.act.answer(scope, receive, reference, headers)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            await error_response(scope, error)(scope, receive, Sending(send, added))
            return
        await send_reply(send, reply, [*added, NO_STORE])


def is_act(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def act_reference(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
        return None
    matched = _PATH.fullmatch(scope["path"])
    return None if matched is None else matched.group(1)
