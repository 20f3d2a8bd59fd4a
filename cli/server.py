"""A running service, asked over HTTP."""

from collections.abc import Callable, Container
from typing import Any

import httpx2

from store.errors import SetupError

TIMEOUT = httpx2.Timeout(60.0)


def ask_server(
    url: str,
    key: str,
    send: Callable[[httpx2.Client], httpx2.Response],
    *,
    wanted: int | Container[int],
    failed: str,
    timeout: httpx2.Timeout = TIMEOUT,
) -> dict[str, Any]:
    """What it answers with a status of `wanted`. Else SetupError: `failed`, and its words."""
    return _object(_answer(url, key, send, wanted, failed, timeout))


def fetch_file(url: str, key: str, path: str, *, failed: str) -> bytes:
    return _answer(url, key, lambda client: client.get(path), 200, failed, TIMEOUT).content


def _answer(
    url: str,
    key: str,
    send: Callable[[httpx2.Client], httpx2.Response],
    wanted: int | Container[int],
    failed: str,
    timeout: httpx2.Timeout,
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=timeout) as client:
        try:
            answer = send(client)
        except httpx2.TransportError as error:
            raise SetupError(f"{url} does not answer: {type(error).__name__}: {error}") from None
    if answer.status_code not in ((wanted,) if isinstance(wanted, int) else wanted):
        detail = _object(answer).get("detail", f"it answered {answer.status_code}")
        raise SetupError(f"{failed}: {detail}")
    return answer


def _object(answer: httpx2.Response) -> dict[str, Any]:
    """{} of what is none, as a proxy may answer."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
