"""Columns of numbers and text as cells of a CSV. N rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mrq_core.csv_table import Limits, refused, require_size

Array: TypeAlias = NDArray[Any]
Row: TypeAlias = Sequence[str]

BATCH_ROWS = 8_192
# Whole numbers and flags, real ones, text of a fixed width.
_KINDS = "biufUS"
_WIDEST_REAL = 8  # bytes
# What others call the columns: plural, and as D4RL and Minari do.
_USUAL_NAMES = {
    "observations": "observation",
    "actions": "action",
    "rewards": "reward",
    "terminations": "terminated",
    "terminals": "terminated",
    "truncations": "truncated",
    "timeouts": "truncated",
    "propensities": "propensity",
    "episodes": "episode",
}


@dataclass(frozen=True)
class Table:
    """`left_out`: what the request drops and was therefore not read."""

    names: Sequence[str]
    batches: Iterator[Iterable[Row]]
    left_out: frozenset[str] = frozenset()


def write_csv(table: Table, path: Path, limits: Limits) -> None:
    """`TooLarge` as soon as the text is; what was written by then is left."""
    # A half of a surrogate pair is refused by whoever reads the CSV, with its line.
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.names)
        for batch in table.batches:
            writer.writerows(batch)
            require_size(limits, rows=0, columns=0, unpacked_bytes=file.tell())


def require_beginning(path: Path, magic: bytes, what: str) -> None:
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise refused(f"This is no {what} file: it does not begin with {magic!r}.")


def usual(name: str) -> str:
    return _USUAL_NAMES.get(name, name)


def require_plain(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise refused(
            f"Array {name} holds Python objects, which are never read: save numbers, with a dtype "
            "such as float32.",
            column=name,
        )
    if dtype.kind not in _KINDS or (dtype.kind == "f" and dtype.itemsize > _WIDEST_REAL):
        raise refused(
            f"Array {name} has the dtype {dtype}; allowed: whole numbers, floats of up to 64 bits, "
            "booleans and text.",
            column=name,
        )


def width_of(name: str, shape: Sequence[int]) -> int:
    """How many columns an array makes."""
    if len(shape) not in (1, 2) or 0 in shape:
        raise refused(
            f"Array {name} has the shape {tuple(shape)}; allowed: (N) or (N, k), neither of them "
            "0. Images and nested spaces are not in a log: flatten them, or leave the array out "
            f"(drop={name}).",
            column=name,
        )
    return 1 if len(shape) == 1 else int(shape[1])


def columns_of(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """(N) each. An array (N, k) makes NAME_0 to NAME_(k-1), of one column NAME itself."""
    columns: dict[str, Array] = {}
    for name, array in arrays.items():
        width = width_of(name, array.shape)
        flat = array.reshape(len(array), width)
        for index in range(width):
            column = name if width == 1 else f"{name}_{index}"
            if column in columns:
                raise refused(f"Two arrays make the column {column!r}: call one otherwise.")
            columns[column] = flat[:, index]
    return columns


def cells_of(values: Array) -> list[str]:
    """The shortest text that is the same number again; nothing for NaN."""
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    cells: list[str] = values.astype(str).tolist()
    if values.dtype.kind == "f":
        for index in np.flatnonzero(np.isnan(values)):
            cells[index] = ""
    return cells


def rows_of(columns: Mapping[str, Array]) -> Iterator[Iterable[Row]]:
    count = len(next(iter(columns.values())))
    for at in range(0, count, BATCH_ROWS):
        cells = (cells_of(column[at : at + BATCH_ROWS]) for column in columns.values())
        yield zip(*cells, strict=True)
