"""An error for a person at a browser: readable without a session, so without any asset."""

from collections.abc import Callable
from html import escape

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from app.problem import Problem, request_id

ErrorPage = Callable[[Scope, Problem], Response]

_LOGIN = (
    "<p>This page needs a login. Run <code>mrq login-link</code> where the server runs: it prints "
    "a link that logs this browser in. The link works for 15 minutes.</p>"
)


def wants_page(scope: Scope) -> bool:
    path = scope["path"]
    is_page = path == "/" or path == "/ui" or path.startswith("/ui/")
    return is_page and "text/html" in Headers(scope=scope).get("accept", "")


def plain_error_page(scope: Scope, problem: Problem) -> Response:
    text = _LOGIN if problem.status == 401 else f"<p>{escape(problem.detail)}</p>"
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{problem.title} - MR.Q</title>'
        f"</head><body><main><h1>{problem.title}</h1>{text}"
        f'<p><a href="/ui/jobs">All jobs</a></p><p><small>Request {request_id(scope)}</small></p>'
        "</main></body></html>"
    )
    return HTMLResponse(html, problem.status, dict(problem.headers))
