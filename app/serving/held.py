"""What an act request says of a history that is held for it: by a session, or by the client."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.refusals import ActRefused
from mrq_core.spaces import describe

HELD_FIELDS = frozenset({"session_id", "reset", "state"})
MAX_T = 2**53 - 1  # what every JSON reader keeps exactly


@dataclass(frozen=True, slots=True)
class Held:
    """Of a session, or without `session_id` of a client that holds `state`, None at the start."""

    session_id: str | None = None
    t: int = 0
    reset: bool = False
    state: str | None = None


def read_held(
    data: Mapping[str, Any], is_batch: bool | None
) -> tuple[Held | None, Mapping[str, Any]]:
    """`data` has one of `HELD_FIELDS`. The second of the pair are the fields that are left: with a
    session `t` is the session's, and the log's only where an `episode` is named."""
    session_id, reset = data.get("session_id"), data.get("reset")
    if session_id is None:
        return _of_client(data, is_batch, reset), data
    if type(session_id) is not str:
        text = f"session_id={describe(session_id)} must be the text that opening it gave."
        raise ActRefused("session_invalid", text, param="session_id")
    if "state" in data:
        text = "state and session_id exclude each other: the history is held here or there."
        raise ActRefused("session_with_state", text, param="state")
    refuse_batch(is_batch)
    if reset is not None and type(reset) is not bool:
        text = f"reset={describe(reset)} must be true or false."
        raise ActRefused("reset_invalid", text, param="reset")
    held = Held(session_id, read_t(data.get("t")), bool(reset))
    if data.get("episode") is None:
        data = {name: value for name, value in data.items() if name != "t"}
    return held, data


def _of_client(data: Mapping[str, Any], is_batch: bool | None, reset: Any) -> Held | None:
    if reset is not None:
        text = "reset goes with session_id only; a history that you hold begins with state=null."
        raise ActRefused("reset_invalid", text, param="reset")
    if "state" not in data:
        return None
    state = data["state"]
    if state is not None and type(state) is not str:
        text = f"state={describe(state)} must be the text of the last answer, or null to begin."
        raise ActRefused("state_invalid", text, param="state")
    refuse_batch(is_batch)
    return Held(state=state)


def refuse_batch(is_batch: bool | None) -> None:
    if is_batch:
        text = "A history takes one observation at a time: send `observation`, one frame."
        raise ActRefused("history_with_batch", text, param="observations")


def read_t(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_T:
        text = f"t={describe(value)} must be an integer from 0 to {MAX_T}: the step's number."
        raise ActRefused("t_invalid", text, param="t")
    return value
