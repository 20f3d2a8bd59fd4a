"""What a client sends through a stream: a step of its loop, or the beginning of an episode.

The usual step is decoded in one go, as in `app.serving.typed_json`. Whatever does not fit is read
again by the code that has the words for it, so there is one set of rules and messages.
W is the numbers of one frame.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec
import numpy as np

from app.refusals import ActRefused
from app.serving.held import read_t
from app.serving.history import FrameForm
from app.serving.observation import read_rows
from app.serving.requests import (
    MAX_DEADLINE_MS,
    MAX_SEED,
    ActRequest,
    read_options,
    require_known,
)
from app.serving.stream_wire import Wire
from mrq_core.spaces import Box, Floats, Space, describe

_OPTIONS = ("mode", "seed", "action_mask", "deadline_ms", "log")
_OUTCOME = ("reward", "terminated", "truncated")
STEP_FIELDS = frozenset({"t", "observation", *_OPTIONS, *_OUTCOME})
RESET_FIELDS = frozenset({"type", "seed", "version", "follow", *_OUTCOME})
MAX_VERSION = 2**31 - 1
_LARGEST = float(np.finfo(np.float32).max)
# Deterministic, without a mask, not logged: nobody writes into it.
_PLAIN = ActRequest(None, False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the action before."""

    reward: float
    terminated: bool | None
    truncated: bool | None


@dataclass(slots=True)
class StepFrame:
    t: int
    row: Floats  # (1, W)
    asked: ActRequest
    deadline_ms: float | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class ResetFrame:
    seed: int | None
    version: int | None
    follow: bool
    outcome: Outcome | None


class FrameRefused(Exception):
    """`t` as far as it could be read."""

    def __init__(self, t: int | None, why: Exception) -> None:
        self.t = t
        self.why = why


class FrameReader:
    def __init__(self, form: FrameForm, wire: Wire) -> None:
        self._wire = wire
        self._space = form.space
        self._width = form.width
        self._is_vector = _is_vector(form.space)
        self._decode = wire.reads(_usual_step(self._is_vector, wire.is_text))

    def read(self, data: Any) -> StepFrame | ResetFrame:
        """Text or bytes. Raises `FrameRefused`."""
        try:
            step = self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._read_any(data)
        row = self._row(step.observation)
        if row is None or not _is_plain(step):
            return self._read_any(data)
        asked = _PLAIN
        if step.log or step.mode != "deterministic":
            asked = ActRequest(None, False, step.mode, step.seed, log=step.log)
        outcome = None
        if step.reward is not None:
            outcome = Outcome(step.reward, step.terminated, step.truncated)
        return StepFrame(step.t, row, asked, step.deadline_ms, outcome)

    def _row(self, value: Any) -> Floats | None:
        """None for what has to be looked at again."""
        if type(value) is bytes:
            return self._of_bytes(value)
        if not self._is_vector:
            try:
                return read_rows(self._space, value, False, 1)[0]
            except (ActRefused, OverflowError):
                return None
        # Their norm bounds each of them; it is no number if one of them is none.
        if len(value) != self._width or not math.hypot(*value) <= _LARGEST:
            return None
        return np.fromiter(value, np.float32, self._width).reshape(1, -1)

    def _of_bytes(self, value: bytes) -> Floats | None:
        """Little-endian numbers in the box's own type, in C order."""
        box = self._space
        if not isinstance(box, Box) or len(value) != self._width * box.number_type.itemsize:
            return None
        numbers = np.frombuffer(value, box.number_type.newbyteorder("<"))
        with np.errstate(over="ignore"):
            row = numbers.astype(np.float32).reshape(1, -1)
        return row if np.isfinite(row).all() else None

    def _read_any(self, data: Any) -> StepFrame | ResetFrame:
        t = None
        try:
            frame = self._wire.read_object(data)
            if "type" in frame:
                return _read_reset(frame)
            t = read_t(frame.get("t"))
            require_known(frame, STEP_FIELDS)
            if "observation" not in frame:
                text = "A frame needs `observation`, or is a reset: {'type': 'reset'}."
                raise ActRefused("observation_missing", text, param="observation")
            options = {name: frame[name] for name in _OPTIONS if name in frame}
            asked = read_options(None, False, options)
            row = self._any_row(frame["observation"])
            return StepFrame(t, row, asked, asked.deadline_ms, _read_outcome(frame))
        except Exception as error:
            raise FrameRefused(t, error) from None

    def _any_row(self, value: Any) -> Floats:
        if not isinstance(value, bytes):
            return read_rows(self._space, value, False, 1)[0]
        if not isinstance(self._space, Box):
            text = "Only a frame that is one array of numbers can be sent as bytes."
            raise ActRefused("binary_unsupported", text, param="observation")
        kind = self._space.number_type
        if len(value) != (size := self._width * kind.itemsize):
            text = (
                f"observation has {len(value)} bytes where {self._space.shape} {kind} make {size}."
            )
            details = {"expected": str(size), "got": str(len(value))}
            raise ActRefused("binary_size_mismatch", text, param="observation", **details)
        array = np.frombuffer(value, kind.newbyteorder("<")).astype(kind).reshape(self._space.shape)
        return read_rows(self._space, array[()], False, 1)[0]


def _is_vector(space: Space) -> bool:
    """Of floats, so that their type says nearly all of them; of whole numbers it does not."""
    return isinstance(space, Box) and space.number_type.kind == "f" and len(space.shape) == 1


@cache
def _usual_step(is_vector: bool, is_text: bool) -> type:
    """A text has no bytes."""
    numbers: Any = Any
    if is_vector:
        numbers = list[float] if is_text else bytes | list[float]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("t", int),
        ("observation", numbers),
        ("mode", Literal["deterministic", "sample"], "deterministic"),
        ("seed", int | None, None),
        ("deadline_ms", float | None, None),
        ("log", bool, False),
        ("reward", float | None, None),
        ("terminated", bool | None, None),
        ("truncated", bool | None, None),
    ]
    return msgspec.defstruct("UsualStep", fields, forbid_unknown_fields=True, gc=False)


def _is_plain(step: Any) -> bool:
    """Whether nothing in it could be refused, beside the observation and the place."""
    deadline_ms, seed, reward = step.deadline_ms, step.seed, step.reward
    if not 0 <= step.t <= MAX_SEED:
        return False
    if deadline_ms is not None and not 0 < deadline_ms <= MAX_DEADLINE_MS:
        return False
    if seed is not None and (step.mode != "sample" or not 0 <= seed <= MAX_SEED):
        return False
    if reward is None:
        return step.terminated is None and step.truncated is None
    return math.isfinite(reward)


def _read_reset(frame: Mapping[str, Any]) -> ResetFrame:
    if frame["type"] != "reset":
        text = f"type={describe(frame['type'])} must be 'reset', or left out of a step."
        raise ActRefused("frame_type_invalid", text, param="type")
    require_known(frame, RESET_FIELDS)
    seed, version, follow = (frame.get(name) for name in ("seed", "version", "follow"))
    if seed is not None and (type(seed) is not int or not 0 <= seed <= MAX_SEED):
        text = f"seed={describe(seed)} must be an integer from 0 to {MAX_SEED}."
        raise ActRefused("seed_invalid", text, param="seed")
    if version is not None and (type(version) is not int or not 1 <= version <= MAX_VERSION):
        text = f"version={describe(version)} must be an integer from 1, a version of this policy."
        raise ActRefused("reset_invalid", text, param="version")
    if follow is not None and type(follow) is not bool:
        text = f"follow={describe(follow)} must be true or false."
        raise ActRefused("reset_invalid", text, param="follow")
    if follow and version is not None:
        text = "version pins the episode, and follow=true does not: give one of them."
        raise ActRefused("reset_invalid", text, param="follow")
    return ResetFrame(seed, version, bool(follow), _read_outcome(frame))


def _read_outcome(frame: Mapping[str, Any]) -> Outcome | None:
    reward, terminated, truncated = (frame.get(name) for name in _OUTCOME)
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        if flag is not None and type(flag) is not bool:
            text = f"{name}={describe(flag)} must be true or false."
            raise ActRefused("outcome_invalid", text, param=name)
    if reward is None:
        if terminated is None and truncated is None:
            return None
        text = "terminated and truncated come with the reward of the action before."
        raise ActRefused("outcome_invalid", text, param="reward")
    if type(reward) not in (int, float) or not _is_finite(reward):
        text = f"reward={describe(reward)} must be a finite number."
        raise ActRefused("outcome_invalid", text, param="reward")
    return Outcome(float(reward), terminated, truncated)


def _is_finite(reward: float) -> bool:
    try:
        return math.isfinite(reward)
    except OverflowError:  # an integer that no float holds
        return False
