"""A browser's way in: a signed link becomes a session cookie."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse

from app.keys import SESSION_SECONDS, login_token_is_valid, new_session, session_cookie_name
from app.refusals import Unauthorized

router = APIRouter(include_in_schema=False)


@router.get("/")
def front() -> RedirectResponse:
    return RedirectResponse("/ui/jobs", 303)


@router.get("/ui/login")
def login(request: Request, token: str = "") -> RedirectResponse:
    key: str = request.app.state.api_key
    if not login_token_is_valid(token, key):
        raise Unauthorized(
            "This login link is not valid or older than 15 minutes: run `mrq login-link`."
        )
    answer = RedirectResponse("/ui/jobs", 303)
    answer.set_cookie(
        session_cookie_name(key),
        new_session(key),
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
