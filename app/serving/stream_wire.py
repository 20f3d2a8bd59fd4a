"""How frames of a stream are written: JSON as text, or MessagePack as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Message

from app.refusals import ActRefused, MalformedBody
from app.serving.requests import read_object


@dataclass(frozen=True)
class Wire:
    subprotocol: str
    is_text: bool
    # Of a type: text or bytes to an instance of it, or an error.
    reads: Callable[[Any], Callable[[Any], Any]]
    read_object: Callable[[Any], dict[str, Any]]
    write: Callable[[Any], bytes]

    def message(self, frame: bytes) -> Message:
        if self.is_text:
            return {"type": "websocket.send", "text": frame.decode()}
        return {"type": "websocket.send", "bytes": frame}


class _SentAsBytes(msgspec.Struct, gc=False):
    observation: memoryview


_read_bytes = msgspec.msgpack.Decoder(_SentAsBytes).decode


def read_in_values(packed: bytes) -> int:
    """How many bytes of a frame become Python's objects, which take many times their room: all of
    them but those of an observation that is sent as bytes. Makes none of them."""
    try:
        return len(packed) - _read_bytes(packed).observation.nbytes
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return len(packed)


def _packed_object(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise MalformedBody(f"The frame is not MessagePack: {error}.", param="body") from None
    if not isinstance(value, dict) or any(type(key) is not str for key in value):
        raise MalformedBody("The frame must be a map whose keys are texts.", param="body")
    return value


JSON = Wire(
    "act.json.v1",
    is_text=True,
    reads=lambda kind: msgspec.json.Decoder(kind).decode,
    read_object=lambda text: read_object(text.encode()),
    write=msgspec.json.Encoder(enc_hook=str).encode,
)
MSGPACK = Wire(
    "act.msgpack.v1",
    is_text=False,
    reads=lambda kind: msgspec.msgpack.Decoder(kind).decode,
    read_object=_packed_object,
    write=msgspec.msgpack.Encoder(enc_hook=str).encode,
)
WIRES = (JSON, MSGPACK)


def choose_wire(offered: list[str]) -> Wire:
    """The first that the client names; JSON if it names none. Raises `ActRefused`."""
    if not offered:
        return JSON
    for name in offered:
        for wire in WIRES:
            if wire.subprotocol == name:
                return wire
    allowed = ", ".join(wire.subprotocol for wire in WIRES)
    text = f"Sec-WebSocket-Protocol={', '.join(offered)[:80]!r} must name one of {allowed}."
    raise ActRefused("subprotocol_unsupported", text, param="Sec-WebSocket-Protocol")
