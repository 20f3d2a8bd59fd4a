"""A request as the protocol has it: JSON, and behind it the bytes of tensors that say so."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.body import refuse_ambiguous
from app.inference.tensors import ACTION, NUMBER_TYPES
from app.refusals import ActRefused, MalformedBody
from app.serving.arrays import MAX_DIMENSIONS, little_endian
from app.serving.requests import ActRequest, read_options
from mrq_core.spaces import describe

HEADER = "Inference-Header-Content-Length"
_HEADER = HEADER.lower().encode()
FIELDS = ("id", "parameters", "inputs", "outputs")
PARAMETERS = ("mode", "seed", "deadline_ms", "binary_data_output")
INPUT_FIELDS = ("name", "shape", "datatype", "data", "parameters")
OUTPUT_FIELDS = ("name", "parameters")
_LARGEST_DIMENSION = 10_000_000

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class InferRequest:
    id: str | None
    tensors: Tensors
    asked: ActRequest
    is_binary: bool  # how the action is to come


def has_bytes(headers: Mapping[bytes, bytes]) -> bool:
    """Behind the JSON."""
    return _HEADER in headers


def json_size(headers: Mapping[bytes, bytes], body: bytes) -> int:
    """How much of the body is JSON."""
    given = headers.get(_HEADER)
    if given is None:
        return len(body)
    text = given[:40].decode("latin-1")
    if not (given.isdigit() and len(given) < 20 and int(given) <= len(body)):
        expected = f"a number of bytes up to the body's {len(body)}"
        raise _refused("header_invalid", HEADER, expected, text)
    return int(given)


def read_infer(body: bytes, size: int) -> InferRequest:
    """`size`: of the JSON."""
    data = _json_object(body[:size])
    _require_known(data, FIELDS, "")
    identity = data.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _refused("invalid_tensor", "id", "a text", describe(identity))
    parameters = _parameters(data, PARAMETERS, "")
    tensors = _read_tensors(data, body[size:])
    is_binary = _wants_bytes(data, _flag(parameters, "binary_data_output", "", default=False))
    return InferRequest(identity, tensors, read_options(None, True, parameters), is_binary)


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        refuse_ambiguous(text)
        raise MalformedBody(f"The body is not JSON: {error}.", param="body") from None
    if not isinstance(data, dict):
        raise MalformedBody("The body must be a JSON object.", param="body")
    return data


def _read_tensors(data: Mapping[str, Any], rest: bytes) -> Tensors:
    """`rest`: the bytes behind the JSON, of one tensor after the other."""
    tensors: dict[str, NDArray[Any]] = {}
    first = 0
    for path, described in _objects(data.get("inputs"), INPUT_FIELDS, "inputs"):
        name, dtype, shape = _form(described, path)
        if name in tensors:
            raise _refused("invalid_tensor", f"{path}.name", "each input once", repr(name[:80]))
        size = _parameters(described, ("binary_data_size",), path).get("binary_data_size")
        if size is None:
            tensors[name] = _of_json(described.get("data"), dtype, shape, path)
            continue
        if "data" in described:
            raise _refused("invalid_tensor", f"{path}.data", "no data beside bytes", "both")
        expected = math.prod(shape) * dtype.itemsize
        if type(size) is not int or size != expected:
            param = f"{path}.parameters.binary_data_size"
            raise _refused("binary_size_mismatch", param, f"{expected} bytes", describe(size))
        tensors[name] = _of_bytes(rest[first : first + size], dtype, shape, path)
        first += size
    if first != len(rest):
        text = f"{first} bytes behind the JSON, as its inputs and {HEADER} say"
        raise _refused("binary_size_mismatch", "body", text, str(len(rest)))
    return tensors


def _objects(value: Any, known: Collection[str], path: str) -> list[tuple[str, dict[str, Any]]]:
    """Each with its path."""
    if not isinstance(value, list) or not value:
        raise _refused("invalid_tensor", path, "a list of objects", describe(value))
    named = [(f"{path}[{index}]", each) for index, each in enumerate(value)]
    for where, each in named:
        if not isinstance(each, dict):
            raise _refused("invalid_tensor", where, "an object", describe(each))
        _require_known(each, known, where)
    return named


def _form(described: Mapping[str, Any], path: str) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    name, datatype = described.get("name"), described.get("datatype")
    if not isinstance(name, str):
        raise _refused("invalid_tensor", f"{path}.name", "a text", describe(name))
    if not isinstance(datatype, str) or datatype not in NUMBER_TYPES:
        expected = f"one of {', '.join(NUMBER_TYPES)}"
        raise _refused("observation_dtype", f"{path}.datatype", expected, describe(datatype))
    return name, NUMBER_TYPES[datatype], _shape(described.get("shape"), f"{path}.shape")


def _shape(sizes: Any, path: str) -> tuple[int, ...]:
    is_list = isinstance(sizes, list) and 0 < len(sizes) <= MAX_DIMENSIONS
    if not is_list or not all(type(n) is int and 0 < n <= _LARGEST_DIMENSION for n in sizes):
        expected = "a list of sizes, the number of observations first"
        raise _refused("shape_invalid", path, expected, repr(sizes)[:80])
    return tuple(sizes)


def _of_json(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...], path: str) -> NDArray[Any]:
    """Nested, or one row after the other in one list."""
    where, size = f"{path}.data", math.prod(shape)
    try:
        numbers = np.array(data if isinstance(data, list) else None)
    except (ValueError, OverflowError):  # ragged, or nested too deeply
        numbers = np.array(None)
    if numbers.dtype.kind not in "iufb":
        raise _refused("observation_dtype", where, f"{size} numbers", describe(data))
    if numbers.size != size:
        got = f"{numbers.size} of them"
        raise _refused("observation_shape_mismatch", where, f"{size} numbers", got)
    with np.errstate(over="ignore", invalid="ignore"):
        array = numbers.astype(dtype).reshape(shape)
    if dtype.kind != "f" and (wrong := array != numbers.reshape(shape)).any():
        got = str(numbers.reshape(shape)[wrong][0])
        raise _refused("observation_dtype", where, f"numbers that {dtype} holds", got)
    return array


def _of_bytes(
    content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], path: str
) -> NDArray[Any]:
    """Little-endian, in C order."""
    expected = math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        got = f"{len(content)} behind the JSON"
        raise _refused("binary_size_mismatch", path, f"{expected} bytes", got)
    if dtype.kind == "b":  # any byte but 0 is true
        return np.frombuffer(content, np.uint8).astype(np.bool_).reshape(shape)
    return np.frombuffer(content, little_endian(dtype)).reshape(shape)


def _wants_bytes(data: Mapping[str, Any], default: bool) -> bool:
    if data.get("outputs") is None:
        return default
    asked = default
    for path, output in _objects(data["outputs"], OUTPUT_FIELDS, "outputs"):
        if output.get("name") != ACTION:
            got = describe(output.get("name"))
            raise _refused("invalid_tensor", f"{path}.name", repr(ACTION), got)
        parameters = _parameters(output, ("binary_data",), path)
        asked = _flag(parameters, "binary_data", path, default=default)
    return asked


def _parameters(of: Mapping[str, Any], known: Collection[str], path: str) -> dict[str, Any]:
    value, where = of.get("parameters"), f"{path}.parameters".lstrip(".")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _refused("invalid_tensor", where, "an object", describe(value))
    _require_known(value, known, where)
    return value


def _flag(parameters: Mapping[str, Any], name: str, path: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        where = f"{path}.parameters.{name}".lstrip(".")
        raise _refused("invalid_tensor", where, "true or false", describe(value))
    return value


def _require_known(data: Mapping[str, Any], known: Collection[str], path: str) -> None:
    for name in sorted(data.keys() - set(known)):
        field = f"{path}.{name[:80]}".lstrip(".")
        raise ActRefused(
            "unknown_field", f"{field!r} is not read; allowed: {', '.join(known)}.", param=field
        )


def _refused(code: str, param: str, expected: str, got: str) -> ActRefused:
    text = f"{param}: expected {expected}, got {got}."
    return ActRefused(code, text, param=param, expected=expected, got=got)
