"""Who may ask. Closed by default: what is not `is_open` needs the key or a session."""

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import error_response
from app.refusals import CrossSiteRequest, Unauthorized
from app.websockets import refuse
from store.keys import is_session

OPEN_PATHS = frozenset({"/healthz", "/ui/login"})
# Styles and scripts, the same for everybody; the page that says how to log in needs them.
OPEN_FOLDER = "/static/"
# A browser opens sockets for any page, with the cookies: what goes through one changes things.
OF_SOCKETS = "WEBSOCKET"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_UNAUTHORIZED = (
    "This needs the API key as `Authorization: Bearer KEY`, or a browser logged in by the link "
    "that `mrq login-link` prints."
)


class Authentication:
    def __init__(self, app: ASGIApp, key: Callable[[], str]) -> None:
        self.app = app
        self.check = KeyCheck(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_socket = scope["type"] == "websocket"
        if is_socket or (scope["type"] == "http" and not is_open(scope["path"])):
            try:
                method = OF_SOCKETS if is_socket else scope["method"]
                self.check.admit(method, Headers(scope=scope))
            except (Unauthorized, CrossSiteRequest) as refusal:
                if is_socket:
                    await refuse(scope, receive, send, refusal)
                else:
                    await error_response(scope, refusal)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class KeyCheck:
    """`key` is asked for at each request, for it is known only once the server has started."""

    def __init__(self, key: Callable[[], str]) -> None:
        self.key = key
        self._expected = ("", b"")

    def admit(self, method: str, headers: Headers) -> None:
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, given = authorization.partition(" ")
            if scheme.lower() == "bearer" and same_secret(given.strip(), self.key()):
                return
            raise Unauthorized(_UNAUTHORIZED)
        if not self._has_session(headers):
            raise Unauthorized(_UNAUTHORIZED)
        if method not in SAFE_METHODS and not is_same_origin(headers):
            raise CrossSiteRequest(
                "A browser's session may change things only from this service's own pages."
            )

    def knows(self, authorization: bytes | None) -> bool:
        """Whether it is the key as nearly every client sends it. If not, `admit` decides."""
        key = self.key()
        if key != self._expected[0]:
            self._expected = key, _digest(f"Bearer {key}".encode())
        given = _digest(authorization or b"")
        return hmac.compare_digest(given, self._expected[1])

    def _has_session(self, headers: Headers) -> bool:
        key = self.key()
        session = cookie_parser(headers.get("cookie", "")).get(session_cookie_name(key))
        return session is not None and is_session(session, key)


def is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


def same_secret(given: str, expected: str) -> bool:
    """Hashed first, so that neither content nor length shows in the time it takes."""
    return hmac.compare_digest(_hash(given), _hash(expected))


def _hash(text: str) -> bytes:
    return _digest(text.encode(errors="replace"))


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def session_cookie_name(key: str) -> str:
    """Two services on one host share its cookies, whatever their ports."""
    return f"mrq_session_{_hash(f'cookie {key}').hex()[:8]}"


def is_same_origin(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")
