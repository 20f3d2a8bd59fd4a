"""Opaque places in a list. A cursor names the last row that was shown, so rows that come or go
meanwhile shift nothing."""

import base64
import binascii

from store.errors import InvalidInput

MAX_LENGTH = 100


def encode_cursor(row: int | str) -> str:
    return base64.urlsafe_b64encode(f"n{row}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error):
        text = ""
    if not (text.startswith("n") and text.isprintable() and len(text) <= MAX_LENGTH):
        raise _refused(cursor)
    return text[1:]


def decode_number(cursor: str) -> int:
    text = decode_cursor(cursor)
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):  # fits 64 bits
        raise _refused(cursor)
    return int(text)


def _refused(cursor: str) -> InvalidInput:
    return InvalidInput(
        f"after={cursor[:40]!r} is no cursor of this service; use `next_cursor` as it came.",
        param="after",
    )
