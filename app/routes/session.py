"""A browser's way in: a signed link becomes a session cookie."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse

from app.auth import session_cookie_name
from app.refusals import Unauthorized
from store.keys import SESSION_SECONDS, is_login_token, make_session

router = APIRouter(include_in_schema=False)


@router.get("/")
def front() -> RedirectResponse:
    return RedirectResponse("/ui/jobs", 303)


@router.get("/ui/login")
def login(request: Request, token: str = "") -> RedirectResponse:
    key: str = request.app.state.api_key
    if not is_login_token(token, key):
        raise Unauthorized(
            "This login link is not valid or older than 15 minutes: run `mrq login-link`."
        )
    answer = RedirectResponse("/ui/jobs", 303)
    answer.set_cookie(
        session_cookie_name(key),
        make_session(key),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/ui/logout")
def logout(request: Request) -> RedirectResponse:
    answer = RedirectResponse("/ui/jobs", 303)
    answer.delete_cookie(session_cookie_name(request.app.state.api_key))
    return answer
