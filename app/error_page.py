"""Who gets an error as a page. The page itself is `app.pages.errors`, named by `app.state`."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from app.problem import Problem

ErrorPage = Callable[[Scope, Problem], Response]


def wants_page(scope: Scope) -> bool:
    path = scope["path"]
    is_page = path == "/" or path == "/ui" or path.startswith("/ui/")
    return is_page and "text/html" in Headers(scope=scope).get("accept", "")
