"""Sortable ids with a prefix that says what they name, such as `job_0198...`."""

import secrets
import time

from store.errors import NotFound


def new_id(prefix: str) -> str:
    """48 bits of milliseconds, then 80 random bits: sorts by creation, cannot be guessed."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def require_storable(kind: str, reference: str) -> None:
    """Nothing is named so; PostgreSQL refuses to look for a text with NUL in it."""
    if "\x00" in reference:
        raise NotFound(kind, reference)
