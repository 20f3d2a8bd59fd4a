"""A JSON body, read strictly: what two parsers could understand differently is refused."""

import json
from collections.abc import Sequence
from dataclasses import fields
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import Headers

from app.problem import shortened
from app.refusals import MalformedBody, NonFiniteNumber, UnsupportedMediaType
from store.strict_json import NotStrict, parse_strictly

Model = TypeVar("Model", bound=BaseModel)


def require_json(headers: Headers) -> None:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            f"Content-Type={media_type[:80]!r} must be application/json.", param="Content-Type"
        )
    require_unpacked(headers.get("content-encoding", "identity"))


def require_unpacked(encoding: str, advice: str = "send the body as it is") -> None:
    """`encoding`: of the content."""
    if encoding != "identity":
        raise UnsupportedMediaType(
            f"Content-Encoding={encoding[:40]!r} is not supported: {advice}.",
            param="Content-Encoding",
        )


async def _body(request: Request) -> bytes:
    require_json(request.headers)
    return await request.body()


async def _optional_body(request: Request) -> bytes:
    body = await request.body()
    if body:
        require_json(request.headers)
    return body or b"{}"


JsonBody = Annotated[bytes, Depends(_body)]
# None at all is an empty object.
OptionalJsonBody = Annotated[bytes, Depends(_optional_body)]


def parse(model: type[Model], body: bytes) -> Model:
    """Errors name the fields by their path in the body."""
    refuse_ambiguous(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([_with_allowed(model, e) for e in error.errors()]) from None


def parse_object(body: bytes) -> dict[str, Any]:
    """Any JSON object: what it may hold is found out where it is used."""
    refuse_ambiguous(body)
    value = json.loads(body)
    if not isinstance(value, dict):
        told = shortened(repr(value), 80)
        raise MalformedBody(f"The body must be a JSON object, not {told}.", param="body")
    return value


def _with_allowed(model: type[BaseModel], error: ErrorDetails) -> dict[str, Any]:
    """An unknown field is refused together with the names of the known ones."""
    found: dict[str, Any] = dict(error)
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        found["allowed"] = _fields_at(model, error["loc"][:-1])
    return found


def _fields_at(model: type[Any], path: Sequence[int | str]) -> list[str]:
    for part in path:
        hint = get_type_hints(model)[str(part)]
        # Of a part that may be null, the part.
        model = next((each for each in get_args(hint) if each is not NoneType), hint)
    return (
        list(model.model_fields)
        if issubclass(model, BaseModel)
        else [each.name for each in fields(model)]
    )


def refuse_ambiguous(body: bytes) -> None:
    """Bad UTF-8, NaN and infinities, a key twice in one object, nesting too deep."""
    try:
        parse_strictly(body)
    except NotStrict as error:
        refusal = NonFiniteNumber if error.number else MalformedBody
        raise refusal(error.told("The body"), param="body") from None
