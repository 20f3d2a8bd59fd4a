"""Light, dark, or as the system says: a cookie, so that it works without JavaScript or a flash."""

from fastapi import Request
from fastapi.responses import RedirectResponse

COOKIE = "mrq_theme"
THEMES = ("system", "light", "dark")


def read_theme(request: Request) -> str:
    theme = request.cookies.get(COOKIE, "system")
    return theme if theme in THEMES else "system"


def remember_theme(theme: str, back_to: str) -> RedirectResponse:
    """Goes back only to a page of ours: an address with a host would be an open redirect."""
    is_ours = back_to.startswith("/ui/") and "\\" not in back_to
    answer = RedirectResponse(back_to if is_ours else "/ui/jobs", status_code=303)
    if theme in THEMES:
        year = 365 * 86_400
        answer.set_cookie(COOKIE, theme, max_age=year, httponly=True, samesite="lax")
    return answer
