"""Observations as the bytes of an array, and actions as such: what pixels should be, for as JSON
they are much larger and slower to read by far."""

import io
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.lib import format as npy
from numpy.typing import NDArray

from app.refusals import ActRefused
from app.serving.provenance import FixedHeaders, fixed_headers
from app.serving.requests import ActRequest, Reader, read_options

# Of an array: what a space's numbers may be.
DTYPES = (
    *("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32"),
    *("uint64", "int64", "bool"),
)
MAX_DIMENSIONS = 8
_LARGEST_DIMENSION = 10_000_000
# The other fields of a request, as JSON in these headers; mode and session as bare words.
_OPTIONS = {
    b"x-seed": "seed",
    b"x-action-mask": "action_mask",
    b"x-deadline-ms": "deadline_ms",
    b"x-return": "return",
    b"x-t": "t",
    b"x-reset": "reset",
}
_BARE_OPTIONS = {b"x-mode": "mode", b"x-session-id": "session_id"}
OPTION_HEADERS = ("X-Mode", "X-Session-Id", *(name.decode().title() for name in _OPTIONS))


def raw_reader(headers: Mapping[bytes, bytes]) -> Reader:
    """Little-endian, in C order. `X-Shape: 4,17` and `X-Dtype: float32` say what it is."""
    dtype, shape = _described(headers.get(b"x-dtype", b"float32"), headers.get(b"x-shape"))
    size = math.prod(shape) * dtype.itemsize
    options = read_options(None, None, _options(headers))

    def read(body: bytes) -> ActRequest:
        if size != len(body):
            text = f"The body has {len(body)} bytes where X-Shape and X-Dtype make {size}."
            details = {"expected": str(size), "got": str(len(body))}
            raise ActRefused("binary_size_mismatch", text, param="body", **details)
        try:
            array = np.frombuffer(body, dtype).reshape(shape)
        except ValueError:  # no bytes at all, in more dimensions than there can be
            raise _bad_shape(headers.get(b"x-shape")) from None
        return options.of(array)

    return read


def npy_reader(headers: Mapping[bytes, bytes]) -> Reader:
    """As `numpy.save` writes it; without objects, which would be code."""
    options = read_options(None, None, _options(headers))
    return lambda body: options.of(_read_npy(body))


def _read_npy(body: bytes) -> NDArray[Any]:
    file = io.BytesIO(body)
    try:
        shape, dtype = _npy_header(file)
    except Exception:  # numpy parses the header as Python: whatever a parser can raise
        raise _bad_npy("its header cannot be read") from None
    if dtype.names is not None or dtype.subdtype is not None:
        raise _bad_npy("it is no array of plain numbers")
    _dtype(dtype.name)
    try:
        size = math.prod(shape) * dtype.itemsize
        if len(body) - file.tell() != size:
            raise _bad_npy(f"{size} bytes must follow its header, not {len(body) - file.tell()}")
        file.seek(0)
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError):
        raise _bad_npy("it cannot be read") from None
    return array


def npy_bytes(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    npy.write_array(file, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return file.getvalue()


@lru_cache(maxsize=1024)
def described(dtype: np.dtype[Any], shape: tuple[int, ...]) -> FixedHeaders:
    """Of an array in raw bytes."""
    sizes = ",".join(map(str, shape)).encode()
    return fixed_headers([(b"x-shape", sizes), (b"x-dtype", str(dtype).encode())])


def little_endian_bytes(array: NDArray[Any]) -> bytes:
    return array.astype(little_endian(array.dtype), copy=False).tobytes()


def _npy_header(file: io.BytesIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(version)
    shape, _, dtype = readers[version](file, max_header_size=10_000)
    if len(shape) > MAX_DIMENSIONS or any(not 0 <= n <= _LARGEST_DIMENSION for n in shape):
        raise ValueError(shape)
    return shape, dtype


@lru_cache(maxsize=1024)
def _described(dtype: bytes, shape: bytes | None) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Clients send the same again and again."""
    return little_endian(_dtype(dtype.decode("latin-1"))), _shape(shape)


@lru_cache
def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")


def _dtype(name: str) -> np.dtype[Any]:
    if name not in DTYPES:
        text = f"An array of {name[:40]!r} is not read; allowed: {', '.join(DTYPES)}."
        details = {"expected": ", ".join(DTYPES), "got": name[:40]}
        raise ActRefused("observation_dtype", text, param="X-Dtype", **details)
    return np.dtype(name)


def _shape(text: bytes | None) -> tuple[int, ...]:
    parts = [] if text is None else [part.strip() for part in text.split(b",")]
    if text is not None and not text.strip():
        return ()  # one number
    valid = 0 < len(parts) <= MAX_DIMENSIONS and all(
        part.isdigit() and len(part) <= 8 and int(part) <= _LARGEST_DIMENSION for part in parts
    )
    if not valid:
        raise _bad_shape(text)
    return tuple(map(int, parts))


def _bad_shape(text: bytes | None) -> ActRefused:
    given = "missing" if text is None else repr(text[:80].decode("latin-1"))
    message = f"X-Shape={given} must be the array's sizes with commas, such as 17 or 64,17."
    return ActRefused("shape_invalid", message, param="X-Shape")


def _options(headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for header, field in _BARE_OPTIONS.items():
        if (word := headers.get(header)) is not None:
            options[field] = word.decode("latin-1").strip()
    for header, field in _OPTIONS.items():
        if (text := headers.get(header)) is not None:
            try:
                options[field] = orjson.loads(text)
            except orjson.JSONDecodeError:
                name = header.decode().title()
                told = text[:80].decode("latin-1")
                message = f"{name}={told!r} must be JSON, as the field {field} is."
                raise ActRefused("header_invalid", message, param=name) from None
    return options


def _bad_npy(why: str) -> ActRefused:
    return ActRefused(
        "npy_invalid", f"The body is no npy file that is read here: {why}.", param="body"
    )
