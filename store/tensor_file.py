"""A safetensors file of a stranger, read by ourselves: what it says of itself is checked before any
library believes it, in memory that does not depend on it.

Eight bytes with the length of a JSON header, the header, then the tensors' bytes: each tensor has a
range of them, and together the ranges are all there is.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mrq_core.layout import Form, Forms
from store.errors import InvalidCheckpoint

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 4_096
MAX_NAME = 256
MAX_RANK = 8
MOST_BYTES = 2**63  # of a tensor: what a library's arithmetic holds
READ_BYTES = 4 << 20
LENGTH_BYTES = 8
# By name, those that checkpoints have; all little-endian.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
# What people put under the wrong name: the text is for them, nothing depends on it.
_OTHERS: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive, as torch.save and numpy.savez write it",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x93NUMPY": "a .npy file",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
}
_METADATA = "__metadata__"
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A tensor in a file; `start` and `stop` count from the file's beginning."""

    form: Form
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    path: Path
    entries: Mapping[str, Entry]

    @property
    def forms(self) -> Forms:
        return {name: entry.form for name, entry in self.entries.items()}

    def require_finite(self, alive: Callable[[], None]) -> None:
        """Reads every float there is. `alive` is called now and then."""
        with self.path.open("rb") as file:
            for name, entry in self.entries.items():
                if DTYPES[entry.form.dtype].kind == "f":
                    self._require_finite(file, name, entry, alive)

    def _require_finite(
        self, file: IO[bytes], name: str, entry: Entry, alive: Callable[[], None]
    ) -> None:
        file.seek(entry.start)
        left = entry.stop - entry.start
        while left > 0 and (part := file.read(min(READ_BYTES, left))):
            left -= len(part)
            values: NDArray[Any] = np.frombuffer(part, DTYPES[entry.form.dtype])
            wrong = values[~np.isfinite(values)]
            if len(wrong):
                raise _Refusals(self.path.name).of_tensor(name, "holds", wrong[0], "finite numbers")
            alive()


def read_tensor_file(path: Path) -> TensorFile:
    """Raises `InvalidCheckpoint` for a file that is not exactly as its header says."""
    refusals = _Refusals(path.name)
    size = path.stat().st_size
    with path.open("rb") as file:
        header = _header(file, size, refusals)
    data_start = size - header.data_bytes
    entries = {
        name: _entry(refusals, name, described, header.data_bytes, data_start)
        for name, described in header.tensors.items()
    }
    _require_covered(refusals, entries, data_start, size)
    return TensorFile(path=path, entries=entries)


class _Refusals:
    """Errors that name the file, the tensor, the value and what is allowed."""

    def __init__(self, file: str) -> None:
        self.file = file

    def of_file(self, what: str, value: object, allowed: str) -> InvalidCheckpoint:
        shown = _shown(value)
        return InvalidCheckpoint(
            f"{self.file}: {what} {shown}; allowed: {allowed}.",
            param=self.file,
            value=shown,
            allowed=allowed,
        )

    def of_tensor(self, tensor: str, what: str, value: object, allowed: str) -> InvalidCheckpoint:
        name, shown = _shown(tensor), _shown(value)
        return InvalidCheckpoint(
            f"{self.file}: tensor {name} {what} {shown}; allowed: {allowed}.",
            param=self.file,
            tensor=tensor[:MAX_NAME],
            value=shown,
            allowed=allowed,
        )


def _shown(value: object) -> str:
    """Never all of it: an integer may have thousands of digits, which Python will not print."""
    try:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    except ValueError:
        text = "(a number with too many digits)"
    return text if len(text) <= 100 else f"{text[:99]}\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True, kw_only=True)
class _Header:
    tensors: Mapping[str, Any]
    data_bytes: int


def _header(file: IO[bytes], size: int, refusals: _Refusals) -> _Header:
    first = file.read(LENGTH_BYTES)
    length = int.from_bytes(first, "little")
    if len(first) < LENGTH_BYTES:
        raise refusals.of_file("the file ends within its length, after bytes:", size, "a header")
    if length > MAX_HEADER_BYTES:
        _refuse_other_format(first, refusals)
        allowed = f"{MAX_HEADER_BYTES} bytes at most"
        raise refusals.of_file("the header's length is", length, allowed)
    if LENGTH_BYTES + length > size:
        allowed = f"{size - LENGTH_BYTES}, what follows it: the file is cut off"
        raise refusals.of_file("the header's length is", length, allowed)
    parsed = _parsed(file.read(length), refusals)
    metadata = parsed.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise refusals.of_file(f"{_METADATA} is", metadata, "texts by name")
    if len(parsed) > MAX_TENSORS:
        raise refusals.of_file("the number of tensors is", len(parsed), f"{MAX_TENSORS} at most")
    return _Header(tensors=parsed, data_bytes=size - LENGTH_BYTES - length)


def _refuse_other_format(first: bytes, refusals: _Refusals) -> None:
    for magic, what in _OTHERS.items():
        if first.startswith(magic):
            raise refusals.of_file("this looks like", what, "safetensors, which execute nothing")


def _parsed(header: bytes, refusals: _Refusals) -> dict[str, Any]:
    def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise refusals.of_file("this name stands twice in the header:", twice, "each once")
        return found

    try:
        parsed = json.loads(header.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:  # also of what is not UTF-8
        told = str(error)[:80]
        raise refusals.of_file("the header is not JSON:", told, "safetensors") from None
    if not isinstance(parsed, dict):
        raise refusals.of_file("the header is", parsed, "a JSON object")
    return parsed


def _entry(
    refusals: _Refusals, name: str, described: Any, data_bytes: int, data_start: int
) -> Entry:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        allowed = f"1 to {MAX_NAME} printable characters"
        raise refusals.of_tensor(name, "has a name of length", len(name), allowed)
    if not isinstance(described, dict) or described.keys() != _FIELDS:
        raise refusals.of_tensor(name, "is described by", described, ", ".join(sorted(_FIELDS)))
    dtype, shape, offsets = (described[field] for field in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise refusals.of_tensor(name, "has dtype", dtype, ", ".join(DTYPES))
    if not _are_counts(shape) or len(shape) > MAX_RANK:
        allowed = f"at most {MAX_RANK} whole numbers from 0"
        raise refusals.of_tensor(name, "has shape", shape, allowed)
    # As if none were 0, so that no library's product can overflow on the way to 0.
    extent = math.prod(max(1, length) for length in shape) * DTYPES[dtype].itemsize
    if extent >= MOST_BYTES:
        raise refusals.of_tensor(name, "has shape", shape, "less than 2**63 bytes")
    if not _are_counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= data_bytes:
        allowed = f"two whole numbers in order, from 0 to {data_bytes}"
        raise refusals.of_tensor(name, "has data_offsets", offsets, allowed)
    start, stop = offsets
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if stop - start != needed:
        allowed = f"{needed} bytes, as {dtype} {shape} need"
        raise refusals.of_tensor(name, "has data_offsets", offsets, allowed)
    form = Form(dtype, tuple(shape))
    return Entry(form=form, start=data_start + start, stop=data_start + stop)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _require_covered(
    refusals: _Refusals, entries: Mapping[str, Entry], data_start: int, size: int
) -> None:
    """One range after the other, without a byte between them or shared by two."""
    end = data_start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            what = "begins before the end of another, at byte"
            if entry.start > end:
                what = "leaves bytes that belong to no tensor before it; it begins at byte"
            raise refusals.of_tensor(name, what, entry.start - data_start, f"{end - data_start}")
        end = entry.stop
    if end != size:
        allowed = f"{end - data_start}, what the tensors have"
        raise refusals.of_file("the bytes after the header are", size - data_start, allowed)
