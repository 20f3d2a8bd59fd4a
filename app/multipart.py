"""A multipart/form-data body with files, written to where they are wanted as it comes.

Not Starlette's forms: those spool into the system's temporary folder, which may be memory, and look
at the parts' names only when all is there.
"""

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers

from app.body import require_unpacked
from app.problem import shortened
from app.refusals import BodyTooLarge, MalformedBody, UnsupportedMediaType
from store.errors import InvalidInput

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 512
MAX_BOUNDARY = 70  # RFC 2046


@dataclass(frozen=True, kw_only=True)
class PartLimits:
    """`allows` says of a name whether there may be such a part, `allowed` says it to people, and
    `what` of what the parts are files."""

    allows: Callable[[str], bool]
    allowed: str
    what: str
    refusal: type[InvalidInput]
    in_memory: Collection[str]  # these are small, and become no files
    small: Collection[str]
    small_bytes: int


def boundary_of(headers: Headers) -> bytes:
    media_type, options = parse_options_header(headers.get("content-type", ""))
    if media_type != MEDIA_TYPE.encode():
        raise UnsupportedMediaType(
            f"Content-Type={media_type.decode(errors='replace')[:80]!r} must be {MEDIA_TYPE}.",
            param="Content-Type",
        )
    require_unpacked(headers.get("content-encoding", "identity"))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY:
        text = f"boundary of {MEDIA_TYPE} must have 1 to {MAX_BOUNDARY} characters."
        raise UnsupportedMediaType(text, param="Content-Type")
    return boundary


class PartWriter:
    """Fed with the body; `finish` says whether that was all of it."""

    def __init__(
        self,
        folder: Path | None,
        boundary: bytes,
        limits: PartLimits,
        require_space: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`folder`: for the parts that are not held in memory; none if all are."""
        self.hashes: dict[str, str] = {}
        self.held: dict[str, bytes] = {}
        self._folder = folder
        self._limits = limits
        self._require_space = require_space
        self._field = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._content = bytearray()
        self._file: IO[bytes] | None = None
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._take_field,
                "on_header_value": self._take_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin,
                "on_part_data": self._write,
                "on_part_end": self._end,
                "on_end": self._end_body,
            },
        )

    def feed(self, data: bytes) -> None:
        self._require_space(len(data))
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedBody(f"The body is not {MEDIA_TYPE}: {error}.", param="body") from None
        # A sign of life for `mrq gc`, which takes folders that have not changed for long.
        if self._folder is not None:
            os.utime(self._folder)

    def finish(self) -> None:
        if not self._ended:
            text = f"The body is not {MEDIA_TYPE}: it ends before its last boundary."
            raise MalformedBody(text, param="body")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _begin(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            text = "A part of the body has no Content-Disposition: form-data with a name."
            raise MalformedBody(text, param="body")
        name = options[b"name"].decode(errors="replace")
        self._require_allowed(name)
        self._name, self._size, self._sha256 = name, 0, hashlib.sha256()
        self._content.clear()
        if name not in self._limits.in_memory:
            assert self._folder is not None, "somewhere to write"
            self._file = (self._folder / name).open("xb")

    def _require_allowed(self, name: str) -> None:
        shown, allowed = shortened(name, 80), self._limits.allowed
        if not self._limits.allows(name):
            raise self._limits.refusal(
                f"{shown!r} is no file of {self._limits.what} are taken, never pickles or "
                f"archives; allowed: {allowed}.",
                param=shown,
                value=shown,
                allowed=allowed,
            )
        if name in self.hashes:
            text = f"The part {shown!r} came twice; allowed: each once."
            raise self._limits.refusal(text, param=shown, value=shown, allowed="each once")
        if len(self.hashes) >= MAX_PARTS:
            raise BodyTooLarge(f"The body has more than {MAX_PARTS} parts.", param="body")

    def _write(self, data: bytes, start: int, end: int) -> None:
        part = memoryview(data)[start:end]
        self._size += len(part)
        most = self._limits.small_bytes
        if self._name in self._limits.small and self._size > most:
            raise BodyTooLarge(
                f"The part {self._name!r} has more than the {most} bytes that are allowed.",
                param=self._name,
                allowed_bytes=most,
            )
        self._sha256.update(part)
        if self._file is None:
            self._content += part
        else:
            self._file.write(part)

    def _end(self) -> None:
        self.hashes[self._name] = self._sha256.hexdigest()
        if self._file is None:
            self.held[self._name] = bytes(self._content)
            self._content.clear()
        else:
            self._file.close()
            self._file = None

    def _end_body(self) -> None:
        self._ended = True
