"""A history that the client holds between its requests: bytes as base64.

Whoever changes them changes the frames that the own policy sees; so there is no signature, but a
checksum against accidents.
"""

import base64
import binascii
import hashlib
from typing import NoReturn

import numpy as np

from app.refusals import ActRefused
from app.serving.history import FrameForm, Frames

_MAGIC = b"MRQ\x01"  # the last byte is the format's version
_CHECKSUM_BYTES = 8


def pack(form: FrameForm, frames: Frames) -> str:
    little = frames.astype(form.dtype.newbyteorder("<"), copy=False)
    content = _MAGIC + form.digest + little.tobytes()
    return base64.b64encode(content + _checksum(content)).decode()


def unpack(form: FrameForm, state: str) -> Frames:
    """Raises `ActRefused` for what `pack` did not give, or for frames of another space."""
    try:
        packed = base64.b64decode(state, validate=True)
    except (binascii.Error, ValueError):
        _refuse("it is no base64")
    content, checksum = packed[:-_CHECKSUM_BYTES], packed[-_CHECKSUM_BYTES:]
    head = len(_MAGIC) + len(form.digest)
    if len(content) < head or _checksum(content) != checksum:
        _refuse("it is incomplete or was changed")
    if not content.startswith(_MAGIC):
        _refuse("it is of a format that this server does not read")
    if content[len(_MAGIC) : head] != form.digest:
        _refuse("it is of a policy with other observations")
    if len(content) - head != form.kept_bytes:
        _refuse("its frames are not those of this policy")
    numbers = np.frombuffer(content, form.dtype.newbyteorder("<"), offset=head)
    if not np.isfinite(numbers).all():
        _refuse("its frames are not those of this policy")
    return numbers.reshape(form.kept_frames, form.width).astype(form.dtype, copy=False)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


def _refuse(why: str) -> NoReturn:
    text = f"state is not what this policy's last answer gave: {why}. Begin anew with state=null."
    raise ActRefused("state_invalid", text, param="state")
