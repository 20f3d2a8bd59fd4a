"""Shell commands to copy. The key is named as a variable, never shown."""

import shlex
from typing import Any

import orjson

_HEADERS = '-H "Authorization: Bearer $MRQ_API_KEY" -H "Content-Type: application/json"'


def curl_post(base_url: str, path: str, body: Any) -> str:
    address = shlex.quote(base_url.rstrip("/") + path)
    text = shlex.quote(orjson.dumps(body).decode())
    return f"curl -X POST {address} \\\n  {_HEADERS} \\\n  -d {text}"


def curl_post_file(base_url: str, path: str, file: str) -> str:
    address = shlex.quote(base_url.rstrip("/") + path)
    return f"curl -X POST {address} \\\n  {_HEADERS} \\\n  -d @{shlex.quote(file)}"
