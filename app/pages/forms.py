"""Forms as browsers send them without a file: application/x-www-form-urlencoded."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from store.errors import InvalidInput

Form = dict[str, str]


async def _read_form(request: Request) -> Form:
    body = (await request.body()).decode(errors="replace")
    return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=20))


FormDep = Annotated[Form, Depends(_read_form)]


def field(form: Form, name: str) -> str:
    value = form.get(name, "").strip()
    if not value:
        raise InvalidInput(f"{name} is missing or empty.", param=name)
    return value
