"""The common request, decoded in one go: JSON straight to lists of floats of the right depth.

Whatever does not fit - another kind of space, a rarer field, any mistake - is None, and is read by
`app.serving.requests`, which knows the words for it. So nothing is accepted or refused here that
would not be there.
"""

import struct
from typing import Any, Literal

import msgspec
import numpy as np

from app.serving.requests import MAX_DEADLINE_MS, ActRequest
from mrq_core.spaces import Box, Floats, Space

# Beyond it a float32 is infinite. JSON itself knows neither infinities nor NaN.
_LARGEST = float(np.finfo(np.float32).max)
# By the number of dimensions.
_NESTED: tuple[Any, ...] = (
    *(float, list[float], list[list[float]], list[list[list[float]]]),
    list[list[list[list[float]]]],
)
_ABSENT = msgspec.UNSET
_FLOATS = np.dtype("<f4")


class TypedReader:
    def __init__(self, space: Space, max_batch: int) -> None:
        self._decoder = _decoder(space)
        self._max_batch = max_batch
        self._shape = space.shape if isinstance(space, Box) else ()
        self._size = space.flat_size
        # For a single row it costs half of what numpy does; with "<" it refuses what is too large.
        self._pack = struct.Struct(f"<{self._size}f").pack

    def read(self, body: bytes) -> tuple[Floats, ActRequest] | None:
        """(B, D), and the rest of the request."""
        if self._decoder is None:
            return None
        try:
            asked = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        one, many, deadline_ms = asked.observation, asked.observations, asked.deadline_ms
        is_batch = one is _ABSENT
        if is_batch == (many is _ABSENT):
            return None
        if deadline_ms is not None and not 0 < deadline_ms <= MAX_DEADLINE_MS:
            return None
        rows = self._rows(many) if is_batch else self._row(one)
        if rows is None or not 1 <= len(rows) <= self._max_batch:
            return None
        return rows, ActRequest(None, is_batch, deadline_ms=deadline_ms)

    def _row(self, value: Any) -> Floats | None:
        if len(self._shape) != 1:
            return self._rows([value])
        try:
            packed = self._pack(*value)
        except (struct.error, OverflowError):  # another number of them; too large for a float32
            return None
        return np.frombuffer(packed, _FLOATS).reshape(1, -1)

    def _rows(self, values: list[Any]) -> Floats | None:
        try:
            array = np.array(values, np.float64)
        except ValueError:  # ragged
            return None
        if array.shape[1:] != self._shape or not (np.abs(array) <= _LARGEST).all():
            return None
        return array.astype(np.float32).reshape(-1, self._size)


def _decoder(space: Space) -> Any:
    """Numbers of other types than float have rules of their own: those are not for here."""
    if not isinstance(space, Box) or space.number_type.kind != "f":
        return None
    if len(space.shape) + 1 >= len(_NESTED):
        return None
    one, many = _NESTED[len(space.shape)], _NESTED[len(space.shape) + 1]
    fields = [
        ("observation", one | msgspec.UnsetType, _ABSENT),
        ("observations", many | msgspec.UnsetType, _ABSENT),
        ("mode", Literal["deterministic"], "deterministic"),
        ("deadline_ms", float | None, None),
    ]
    return msgspec.json.Decoder(
        msgspec.defstruct("Asked", fields, forbid_unknown_fields=True, gc=False)
    )
