"""Arrays that `numpy.savez` or `savez_compressed` wrote, without pickle.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from mrq_core.csv_table import Limits, refused, require_size
from mrq_core.logged.columns import EPISODE, TERMINATED, TRUNCATED
from mrq_core.unpacking.table import (
    Array,
    Table,
    columns_of,
    require_beginning,
    require_plain,
    rows_of,
    usual,
    width_of,
)

# Of the list of arrays at a zip's end, which Python reads as a whole: hundreds of bytes of memory
# for 46 of the file. 256 arrays need 20 kB.
MOST_DIRECTORY_BYTES = 1 << 20
_END = struct.Struct("<4s4H2LH")
_END_MAGIC, _END64_MAGIC = b"PK\x05\x06", b"PK\x06\x07"
_END64_BYTES = 20
_ENCRYPTED = 1
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# The third is for names of fields, which no plain array has.
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class _Found:
    entry: zipfile.ZipInfo
    shape: tuple[int, ...]
    width: int


def open_npz(
    path: Path, limits: Limits, mapped: Mapping[str, str], dropped: Sequence[str]
) -> Table:
    """Nothing is unpacked before all that the headers declare is known to fit."""
    require_beginning(path, b"PK\x03\x04", "NPZ")
    _require_small_directory(path)
    with zipfile.ZipFile(path) as file:
        entries = {_array_name(entry): entry for entry in file.infolist()}
        if len(entries) < len(file.infolist()):
            raise refused("Two arrays of the NPZ have the same name.")
        left_out = frozenset(dropped) & set(entries)
        kept = {name: entry for name, entry in entries.items() if name not in left_out}
        _require_current(kept)
        require_size(
            limits,
            rows=0,
            columns=len(kept),
            unpacked_bytes=sum(entry.file_size for entry in kept.values()),
        )
        found = {name: _described(file, name, entry) for name, entry in kept.items()}
        _require_same_length(found)
        require_size(
            limits,
            rows=next(iter(found.values())).shape[0],
            columns=sum(each.width for each in found.values()),
            unpacked_bytes=0,
        )
        arrays = {name: _read(file, each.entry) for name, each in found.items()}
    arrays = _as_usual(arrays, {*mapped.values()})
    columns = _with_episodes(columns_of(arrays), mapped)
    return Table(tuple(columns), rows_of(columns), left_out)


def _require_small_directory(path: Path) -> None:
    """By the zip's last record, which `zipfile` goes by too."""
    tail = b""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END.size - _END64_BYTES))
        tail = file.read()
    end = tail[-_END.size :]
    if len(end) < _END.size or not end.startswith(_END_MAGIC) or _END64_MAGIC in tail:
        raise refused("The NPZ is cut off, or no numpy.savez wrote it: save it again.")
    *_, directory_bytes, _, comment_bytes = _END.unpack(end)
    if comment_bytes or directory_bytes > MOST_DIRECTORY_BYTES:
        raise refused("The NPZ lists more arrays than any table has: save one for each column.")


def _array_name(entry: zipfile.ZipInfo) -> str:
    name = entry.filename.removesuffix(".npy")
    if name == entry.filename:
        raise refused(f"The NPZ holds {name[:80]!r}, which is no array (.npy): leave it out.")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _PACKINGS:
        raise refused(
            f"Array {name} is encrypted or packed in a way that numpy does not write: save it "
            "with numpy.savez_compressed.",
            column=name,
        )
    return name


def _require_current(names: Mapping[str, Any]) -> None:
    if not names:
        raise refused("The NPZ has no array.")
    for name in names:
        if name.startswith("next_"):
            raise refused(
                f"Array {name} looks like what was seen after a step: that is the next row's "
                f"observation, and would be told in advance. Leave it out (drop={name}).",
                column=name,
            )


def _described(file: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo) -> _Found:
    with file.open(entry) as stream:
        shape, dtype = _header(name, stream)
        there = entry.file_size - stream.tell()
    require_plain(name, dtype)
    width = width_of(name, shape)
    said = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if said != there:
        text = f"Array {name} of shape {shape} has {said:,} bytes by its header, {there:,} in the"
        raise refused(f"{text} NPZ: it is damaged.", column=name)
    return _Found(entry, shape, width)


def _header(name: str, stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        read = _HEADERS[npy.read_magic(stream)]
        shape, _, dtype = read(stream)
    except (KeyError, ValueError) as error:
        raise refused(
            f"Array {name} has no header of a plain array: save it with numpy.savez.", column=name
        ) from error
    return shape, dtype


def _require_same_length(found: Mapping[str, _Found]) -> None:
    lengths = {name: each.shape[0] for name, each in found.items()}
    if len({*lengths.values()}) > 1:
        told = ", ".join(f"{name}: {length:,}" for name, length in lengths.items())
        raise refused(
            f"The arrays have different numbers of rows ({told}): give each step one row in all "
            "of them, or leave an array out with drop=NAME."
        )


def _read(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with file.open(entry) as stream:
        # Its last byte is that of the entry, where zipfile compares the checksum.
        array: Array = npy.read_array(stream, allow_pickle=False)
    return array


def _as_usual(arrays: Mapping[str, Array], as_they_are: set[str]) -> dict[str, Array]:
    """What the request maps keeps its name."""
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        known = name if name in as_they_are else usual(name)
        if known in found:
            raise refused(f"Two arrays are {known}: {', '.join(arrays)}. Leave one out.")
        found[known] = array
    return found


def _with_episodes(columns: dict[str, Array], mapped: Mapping[str, str]) -> dict[str, Array]:
    """Numbered by the flags that end them, where no array says to which one a row belongs."""
    flags = [columns.get(mapped.get(role, role)) for role in (TERMINATED, TRUNCATED)]
    if mapped.get(EPISODE, EPISODE) in columns or flags[0] is None:
        return columns
    ends = np.zeros(len(flags[0]), np.bool_)
    for flag in flags:
        if flag is not None:
            ends |= flag.astype(np.float64) != 0
    return {EPISODE: np.cumsum(ends) - ends, **columns}
