"""A CSV file, line by line. What is refused is named by its line, as editors count them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

# Of one line, and so of one cell: no table that fits the limits has longer ones.
MAX_LINE_BYTES = 1 << 16
MAX_NAME = 64
# Of a number: its square, and a sum of squares, must still be one.
LARGEST = 1e100
MAX_PROBLEMS = 20

# What is sent in place of a CSV, by its first bytes.
_DISGUISES = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "ZIP or Excel",
    b"PAR1": "Parquet",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "NumPy",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MICROSECONDS = 1_000_000
_TIMES = "a date (2024-05-31), a time (2024-05-31T14:30:00Z), or seconds since 1970"


@dataclass(frozen=True, kw_only=True)
class Limits:
    rows: int = 1_000_000
    columns: int = 256
    cells: int = 5_000_000
    unpacked_bytes: int = 256 << 20  # of a file that is no CSV, and of the CSV made of it


@dataclass(frozen=True, kw_only=True)
class Problem:
    text: str
    line: int | None = None
    column: str | None = None


class TableRefused(Exception):
    """`problems` are the first ones that were found, for the person who sent the file."""

    def __init__(self, *problems: Problem) -> None:
        more = f" ({len(problems)} such problems or more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0].text}{more}")
        self.problems = problems


class TooLarge(TableRefused):
    """More rows, columns, cells or unpacked bytes than are taken."""


def refused(text: str, line: int | None = None, column: str | None = None) -> TableRefused:
    return TableRefused(Problem(text=text, line=line, column=column))


def columns_left(
    names: Sequence[str],
    mapped: Mapping[str, str],
    dropped: Sequence[str],
    is_role: Callable[[str], bool],
    allowed: str,
) -> list[str]:
    """Those that are neither mapped, from a role to the column that has it, nor dropped."""
    for column in (*mapped.values(), *dropped):
        if column not in names:
            raise refused(f"There is no column {column!r}; the file has {', '.join(names)}.", 1)
    for role in mapped:
        if not is_role(role):
            raise refused(f"{role!r} is no role of a column; allowed: {allowed}.")
    return [name for name in names if name not in mapped.values() and name not in dropped]


class CsvTable:
    """The header is read at once, the rows as they are asked for."""

    def __init__(self, stream: IO[bytes], limits: Limits) -> None:
        self._limits = limits
        self._reader = csv.reader(_lines(stream, limits), strict=True)
        header = self._next()
        if header is None:
            raise refused("The file is empty: its first line must name the columns.", 1)
        self.names = _checked_names(header, limits)

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """With the line that each one ends on. Empty lines are passed over."""
        width, count = len(self.names), 0
        while (cells := self._next()) is not None:
            if not cells:
                continue
            line, count = self._reader.line_num, count + 1
            if len(cells) != width:
                text = f"Line {line} has {len(cells)} cells, the header names {width} columns."
                raise refused(text, line)
            if count > self._limits.rows or count * width > self._limits.cells:
                raise _too_many_rows(width, self._limits)
            yield line, cells

    def _next(self) -> Sequence[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            line = self._reader.line_num
            raise refused(f"Line {line} is not CSV: {error}.", line) from None


def require_size(limits: Limits, *, rows: int, columns: int, unpacked_bytes: int) -> None:
    """Of a table of which this is known before a cell is read. `TooLarge`"""
    if columns > limits.columns:
        raise _too_many_columns(columns, limits, "The file has")
    if rows > limits.rows or rows * columns > limits.cells:
        raise _too_many_rows(columns, limits)
    if unpacked_bytes > limits.unpacked_bytes:
        raise TooLarge(
            Problem(
                text=f"The file unpacks to {unpacked_bytes:,} bytes or more; allowed: "
                f"{limits.unpacked_bytes:,} (MRQ_MAX_DATASET_UNPACKED_BYTES)."
            )
        )


def _too_many_rows(width: int, limits: Limits) -> TooLarge:
    if limits.cells // width < limits.rows:
        text = f"The file has more than {limits.cells:,} cells"
        return TooLarge(Problem(text=f"{text} (MRQ_MAX_DATASET_CELLS) in {width} columns."))
    return TooLarge(
        Problem(text=f"The file has more than {limits.rows:,} rows (MRQ_MAX_DATASET_ROWS).")
    )


def _lines(stream: IO[bytes], limits: Limits) -> Iterator[str]:
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            _refuse_disguise(raw)
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if len(raw) > MAX_LINE_BYTES:
            raise _too_long(raw, number, limits)
        if b"\0" in raw:
            raise refused(f"Line {number} has a NUL byte: this is no text in UTF-8.", number)
        try:
            yield raw.decode()
        except UnicodeDecodeError as error:
            byte = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            text = f"Line {number} is not UTF-8 ({byte}): save the file with that encoding."
            raise refused(text, number) from None


def _refuse_disguise(raw: bytes) -> None:
    kind = next((kind for magic, kind in _DISGUISES.items() if raw.startswith(magic)), None)
    if kind is not None:
        raise refused(
            f"This is a {kind} file, not CSV: send the plain text of the table, or, of a Parquet, "
            "NPZ or Minari file, its own Content-Type."
        )
    if raw.startswith(_UTF16):
        raise refused("The file is in UTF-16: save it as UTF-8.", 1)


def _too_long(raw: bytes, number: int, limits: Limits) -> TableRefused:
    columns = raw.count(b",") + 1
    if columns > limits.columns:
        return _too_many_columns(columns, limits, f"Line {number} begins with")
    text = f"Line {number} has more than {MAX_LINE_BYTES:,} bytes."
    return refused(text, number)


def _too_many_columns(columns: int, limits: Limits, start: str) -> TooLarge:
    text = f"{start} {columns:,} columns; allowed: {limits.columns} (MRQ_MAX_DATASET_COLUMNS)."
    return TooLarge(Problem(text=text, line=1))


def _checked_names(header: Sequence[str], limits: Limits) -> tuple[str, ...]:
    names = tuple(name.strip() for name in header)
    if len(names) > limits.columns:
        raise _too_many_columns(len(names), limits, "The header names")
    if len(names) == 1 and (other := next((c for c in ";\t|" if c in names[0]), None)):
        raise refused(f"The header's columns are separated by {other!r}; a comma is needed.", 1)
    for index, name in enumerate(names, 1):
        if not name or len(name) > MAX_NAME or not name.isprintable():
            what = f"Column {index} is called {name[:MAX_NAME]!r}"
            raise refused(f"{what}; a name has 1 to {MAX_NAME} printable characters.", 1)
        if _is_formula(name):
            raise refused(f"Column {index} is called {name!r}: a name is no formula.", 1)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise refused(f"Two columns are called {twice!r}.", 1, twice)
    return names


def _is_formula(text: str) -> bool:
    """As spreadsheets understand it."""
    return text[0] in "=@+-" and _NUMBER.fullmatch(text) is None


def number_in(cell: str) -> float | str:
    """NaN for a missing one; a text says why it is none."""
    text = cell.strip()
    if _NUMBER.fullmatch(text) is not None:
        value = float(text)
        return value if abs(value) <= LARGEST else f"is beyond {LARGEST:g}"
    if text.lower() in _MISSING:
        return math.nan
    if _is_formula(text):
        return "is a formula: export the values instead"
    return "is not a number such as 1234.5"


def time_in(cell: str) -> int | str:
    """Microseconds since 1970, a time without a zone taken for UTC; a text says why it is none."""
    text = cell.strip()
    if text.isascii() and text.isdecimal() and len(text) in (10, 13):
        return int(text) * _MICROSECONDS // (1 if len(text) == 10 else 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return f"is not {_TIMES}"
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * _MICROSECONDS)
