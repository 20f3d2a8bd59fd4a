"""A time series of prices, as it may be traded: complete, in order, positive."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mrq_core.csv_table import (
    MAX_PROBLEMS,
    CsvTable,
    Limits,
    Problem,
    TableRefused,
    columns_left,
    number_in,
    refused,
    time_in,
)

TIMESTAMP = "timestamp"
PRICES = ("open", "high", "low", "close")
ROLES = (TIMESTAMP, *PRICES, "volume")
# By which a column is found that nobody has mapped, in lower case.
_USUAL_NAMES = {TIMESTAMP: ("timestamp", "date", "datetime", "time")}
MIN_ROWS = 100

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """`roles`: what the columns are called that every series has. `features`: the others, in the
    order of the file."""

    roles: Mapping[str, str]
    features: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all but the time, in the order of `Series.values`."""
        return (*(self.roles[role] for role in ROLES[1:]), *self.features)


@dataclass(frozen=True)
class Series:
    """`times` (T,) in microseconds since 1970, UTC; `values` (T, N) by `columns.names`."""

    columns: Columns
    times: NDArray[np.int64]
    values: Values

    def __len__(self) -> int:
        return len(self.times)

    def of(self, role: str) -> Values:
        column: Values = self.values[:, ROLES.index(role) - 1]
        return column

    @property
    def features(self) -> Values:
        """(T, F)"""
        rest: Values = self.values[:, len(ROLES) - 1 :]
        return rest

    def before(self, row: int) -> Series:
        """Its first rows alone: what comes after them is not in it."""
        return Series(self.columns, self.times[:row].copy(), self.values[:row].copy())


def choose_columns(
    names: Sequence[str], mapped: Mapping[str, str], dropped: Sequence[str] = ()
) -> Columns:
    """`mapped`: from a role to the column that has it, as it is written."""
    left = columns_left(names, mapped, dropped, ROLES.__contains__, ", ".join(ROLES))
    roles = {role: mapped.get(role) or _usual(role, left) for role in ROLES}
    missing = [role for role, name in roles.items() if name is None]
    if missing:
        raise refused(
            f"Needed and not there: {', '.join(missing)}. The file has {', '.join(names)}. "
            f"Say which column it is, as in map={missing[0]}:NAME.",
            1,
            missing[0],
        )
    found = {role: name for role, name in roles.items() if name is not None}
    if len(set(found.values())) < len(found):
        raise refused(f"One column has two roles: {found}.", 1)
    features = tuple(name for name in left if name not in found.values())
    return Columns(roles=found, features=features)


def _usual(role: str, names: Sequence[str]) -> str | None:
    usual = _USUAL_NAMES.get(role, (role,))
    return next((name for name in names if name.lower() in usual), None)


def read_series(
    stream: IO[bytes],
    limits: Limits,
    mapped: Mapping[str, str] | None = None,
    dropped: Sequence[str] = (),
) -> Series:
    """TableRefused with all that is wrong, up to a number of problems."""
    table = CsvTable(stream, limits)
    columns = choose_columns(table.names, mapped or {}, dropped)
    at_time = table.names.index(columns.roles[TIMESTAMP])
    at = [table.names.index(name) for name in columns.names]
    problems: list[Problem] = []
    times, lines = array("q"), array("q")
    numbers = array("d")
    for line, cells in table.rows():
        lines.append(line)
        moment = time_in(cells[at_time])
        if isinstance(moment, str):
            problems.append(_bad_cell(line, columns.roles[TIMESTAMP], cells[at_time], moment))
            moment = 0
        times.append(moment)
        for index, name in zip(at, columns.names, strict=True):
            number = number_in(cells[index])
            if isinstance(number, str):
                problems.append(_bad_cell(line, name, cells[index], number))
                number = 0.0
            numbers.append(number)
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise TableRefused(*problems[:MAX_PROBLEMS])
    values = np.array(numbers, np.float64).reshape(len(times), len(at))
    series = Series(columns, np.array(times, np.int64), values)
    _check(series, np.array(lines, np.int64))
    return series


def open_series(file: Path, sha256: str, columns: Columns) -> Series:
    """One that was checked when it came; ValueError if these are other bytes."""
    found = hashlib.sha256(content := file.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"the dataset's file has sha256 {found}, expected {sha256}")
    everything = Limits(rows=len(content), columns=len(content), cells=len(content))
    stream = io.BytesIO(content)
    kept = (*columns.roles.values(), *columns.features)
    names = CsvTable(stream, everything).names
    stream.seek(0)
    dropped = [name for name in names if name not in kept]
    return read_series(stream, everything, columns.roles, dropped)


def _bad_cell(line: int, column: str, cell: str, why: str) -> Problem:
    shown = cell if len(cell) <= 40 else f"{cell[:39]}…"
    return Problem(text=f"Line {line}, column {column}: {shown!r} {why}.", line=line, column=column)


def _check(series: Series, lines: NDArray[np.int64]) -> None:
    problems = [
        *_out_of_order(series, lines),
        *_missing(series, lines),
        *_without_value(series, lines),
    ]
    if problems:
        raise TableRefused(*problems[:MAX_PROBLEMS])
    if len(series) < MIN_ROWS:
        rows = "1 row" if len(series) == 1 else f"{len(series)} rows"
        raise refused(
            f"The file has {rows}; at least {MIN_ROWS} are needed, to train on some and to be "
            "tested on others."
        )


def _out_of_order(series: Series, lines: NDArray[np.int64]) -> list[Problem]:
    steps = np.diff(series.times)
    name = series.columns.roles[TIMESTAMP]
    if len(steps) > 1 and (steps < 0).all():
        text = f"The rows are sorted by {name} with the newest first: sort them oldest first."
        return [Problem(text=text, line=int(lines[1]), column=name)]
    return [
        Problem(text=_order_text(series, lines, int(row), name), line=int(lines[row]), column=name)
        for row in np.flatnonzero(steps <= 0)[:MAX_PROBLEMS] + 1
    ]


def _order_text(series: Series, lines: NDArray[np.int64], row: int, name: str) -> str:
    earlier = int(lines[row - 1])
    if series.times[row] == series.times[row - 1]:
        return f"Line {lines[row]}, column {name}: the same time as in line {earlier}; keep one."
    return f"Line {lines[row]}, column {name}: earlier than line {earlier}; sort the rows by time."


def _missing(series: Series, lines: NDArray[np.int64]) -> list[Problem]:
    """One for each column, at its longest run of missing values."""
    problems = []
    for name, column in zip(series.columns.names, np.isnan(series.values).T, strict=True):
        if not column.any():
            continue
        first, length = _longest_run(column)
        where = f"line {lines[first]}"
        if length > 1:
            where = f"lines {lines[first]} to {lines[first + length - 1]}"
        text = (
            f"Column {name} has no value in {int(column.sum())} rows, the longest run in {where}: "
            "fill them with what was known then, remove those rows, or leave the column out."
        )
        problems.append(Problem(text=text, line=int(lines[first]), column=name))
    return problems


def _longest_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(starts[longest]), int(lengths[longest])


def _without_value(series: Series, lines: NDArray[np.int64]) -> list[Problem]:
    problems = []
    for role in ROLES[1:]:
        column, name = series.of(role), series.columns.roles[role]
        bad = column < 0 if role == "volume" else column <= 0
        if bad.any():
            row = int(bad.argmax())
            must = "must not be negative" if role == "volume" else "must be above 0"
            text = f"Line {lines[row]}, column {name}: {column[row]:g} {must}."
            problems.append(Problem(text=text, line=int(lines[row]), column=name))
    return problems
