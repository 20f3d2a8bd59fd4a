"""Protocol Buffers as they lie on the wire: enough to look at a stranger's file before a library
does, without believing a single length in it."""

from collections.abc import Iterator
from typing import TypeAlias

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT = 10  # of 64 bits
# Of the field 1. Libraries cut tags to 32 bits: with more, they would read another field than we.
TAGS = range(1 << 3, 1 << 32)

# An integer of a varint; what is of a length of its own, as a text or a message; a number's bytes.
# Each a type of its own: libraries pass over a field that is of another kind than they know it.
Value: TypeAlias = "int | memoryview | bytes"


class Malformed(Exception):
    """Says where, in bytes from the beginning of the message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each, in their order; one that is there twice comes twice."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        if tag not in TAGS:
            raise Malformed(f"a field of no number before byte {at}")
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise Malformed(f"a field of no known kind ({kind}) at byte {at}")
        if size > end - at:
            raise Malformed(f"a field at byte {at} says {size} bytes, {end - at} are left")
        content = message[at : at + size]
        yield number, content if kind == BYTES else bytes(content)
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number, and where it ends."""
    value = 0
    for index in range(LONGEST_VARINT):
        if at + index >= len(message):
            break
        byte = message[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (2**64 - 1), at + index + 1
    raise Malformed(f"a number that does not end at byte {at}")
