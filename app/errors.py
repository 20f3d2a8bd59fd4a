"""The one place where an exception becomes an HTTP status."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app import refusals
from app.error_page import ErrorPage, wants_page
from app.inference.errors import inference_error, is_inference
from app.problem import Problem, shortened
from store import errors as domain

logger = logging.getLogger(__name__)

# The nearest class in the exception's ancestry decides.
STATUS: Mapping[type[domain.DomainError], int] = {
    refusals.MalformedBody: 400,
    refusals.Unauthorized: 401,
    refusals.CrossSiteRequest: 403,
    domain.NotFound: 404,
    domain.TransitionRefused: 409,
    domain.NotReady: 409,
    domain.Pinned: 409,
    domain.AliasMoved: 409,
    domain.TrafficMoved: 409,
    domain.NotEvaluated: 409,
    domain.SequenceTaken: 409,
    domain.FeedbackRefused: 409,
    domain.FileGone: 410,
    refusals.PolicyBroken: 409,
    refusals.SequenceGap: 409,
    refusals.SessionOfAnotherPolicy: 409,
    refusals.SessionExpired: 410,
    refusals.BodyTooLarge: 413,
    domain.DatasetTooLarge: 413,
    refusals.UnsupportedMediaType: 415,
    refusals.SessionElsewhere: 421,
    domain.InvalidInput: 422,
    refusals.ActRefused: 422,
    refusals.QueueFull: 429,
    refusals.TooManySessions: 429,
    refusals.TooManyStreams: 429,
    refusals.TooManyImports: 503,
    domain.StorageUnreachable: 503,
    domain.StorageFull: 507,
    domain.SetupError: 503,
    refusals.DeadlineExceeded: 504,
}
HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="mrq"'},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "2"},
}
DATABASE_UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeout)
_HTTP_CODES = {404: "route_not_found", 405: "method_not_allowed"}
MAX_VALUE_TEXT = 200
MAX_ERRORS = 50


def problem_of(error: Exception) -> Problem:
    """Never the text of an exception that was not written for the client."""
    match error:
        case domain.DomainError():
            return _domain_problem(error)
        case RequestValidationError() | ValidationError():
            return _validation_problem(error)
        case HTTPException():
            return _http_problem(error)
        case DataError():
            text = "A text in this request cannot be stored, such as one with a NUL character."
            return Problem(status=422, code="invalid_input", detail=text)
    if isinstance(error, DATABASE_UNAVAILABLE):
        detail = "The database does not answer. Nothing was changed; try again."
        return Problem(status=503, code="database_unavailable", detail=detail, headers=HEADERS[503])
    detail = "The server made a mistake. Its log has the details under this request_id."
    return Problem(status=500, code="internal_error", detail=detail)


def _domain_problem(error: domain.DomainError) -> Problem:
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    return Problem(
        status=status,
        code=error.code,
        detail=error.message,
        param=error.param,
        details=error.details,
        headers=HEADERS.get(status, {}),
    )


def _http_problem(error: HTTPException) -> Problem:
    return Problem(
        status=error.status_code,
        code=_HTTP_CODES.get(error.status_code, "http_error"),
        detail=error.detail or "",
        headers=dict(error.headers or {}),
    )


def _validation_problem(error: RequestValidationError | ValidationError) -> Problem:
    found = list(error.errors())
    if (first := found[0])["type"] == "json_invalid":
        return Problem(status=400, code="malformed_body", detail=first["msg"])
    entries = [_entry(each) for each in found[:MAX_ERRORS]]
    more = f" ({len(found)} errors in all)" if len(found) > 1 else ""
    return Problem(
        status=422,
        code="invalid_input",
        detail=f"{entries[0]['msg']}{more}",
        param=entries[0]["param"] or None,
        errors=[{k: v for k, v in entry.items() if k != "param"} for entry in entries],
    )


def _entry(error: Mapping[str, Any]) -> dict[str, Any]:
    """`loc` ends at the very field to change; `msg` names it, its value and what is allowed."""
    loc = [part for part in error["loc"] if part not in ("body", "query", "path", "header")]
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "refused":
        loc += str(error["ctx"]["path"]).split(".")
    elif (name := _named_by_dataclass(error, reason)) is not None:
        loc.append(name)
    param = ".".join(map(str, loc))
    if "allowed" in error:
        reason = f"unknown; allowed: {', '.join(error['allowed'])}"
    if error["type"] not in ("refused", "value_error"):
        reason = f"{param or 'body'}={_value(error)}: {reason}"
    elif loc and str(loc[-1]) not in reason:
        reason = f"{param}: {reason}"
    return {"loc": loc, "msg": shortened(reason, 1_000), "type": error["type"], "param": param}


def _named_by_dataclass(error: Mapping[str, Any], reason: str) -> str | None:
    """A check in the hyperparameters' own `__post_init__` begins its message with the field."""
    name = reason.split(" ", 1)[0]
    whole = error.get("input")
    return (
        name
        if error["type"] == "value_error" and isinstance(whole, dict) and name in whole
        else None
    )


def _value(error: Mapping[str, Any]) -> str:
    value = error.get("input")
    if error["type"] in ("missing", "missing_argument"):
        return "(missing)"
    if isinstance(value, Sequence | Mapping) and not isinstance(value, str):
        return f"({type(value).__name__} of {len(value)})"
    return shortened(repr(value), MAX_VALUE_TEXT)


def error_response(scope: Scope, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.status == 500:
        logger.error("request %s failed", scope["mrq.request_id"], exc_info=error)
    if wants_page(scope):
        page: ErrorPage = scope["app"].state.error_page
        return page(scope, problem)
    if is_inference(scope["path"]):
        return inference_error(problem)
    return problem.response(scope)


async def _handle(request: Request, error: Exception) -> Response:
    return error_response(request.scope, error)


def install(app: FastAPI) -> None:
    """The unexpected are caught by `app.context`, so that their answer has every header too."""
    expected = (
        domain.DomainError,
        RequestValidationError,
        ValidationError,
        HTTPException,
        DataError,
        *DATABASE_UNAVAILABLE,
    )
    for kind in expected:
        app.add_exception_handler(kind, _handle)
