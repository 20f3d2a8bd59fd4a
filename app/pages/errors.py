"""Errors as pages, in the shape that the server's error handling asks for."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.pages.rendering import page
from app.problem import Problem, request_id


def error_page(scope: Scope, problem: Problem) -> Response:
    template = "login_needed.html" if problem.status == 401 else "problem.html"
    answer = page(
        Request(scope), template, status=problem.status, problem=problem, id=request_id(scope)
    )
    answer.headers.update(problem.headers)
    return answer
