"""An act request with a history that is held for it: one frame comes, K of them are acted on.

`begin_turn` changes nothing; `end` of the turn does, once there is an action.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from app.refusals import ActRefused
from app.serving.client_state import pack, unpack
from app.serving.held import refuse_batch
from app.serving.history import Frames, Step
from app.serving.observation import read_rows
from app.serving.policies import LivePolicy
from app.serving.requests import ActRequest
from app.serving.sessions import Session, Sessions
from mrq_core.spaces import Floats

FindPolicy = Callable[[str], Awaitable[LivePolicy]]


class Turn(Protocol):
    policy: LivePolicy
    rows: Floats  # (1, D)

    def require_next(self) -> None:
        """Before the action is logged. Raises `SequenceGap` where `end` would now."""

    def end(self) -> dict[str, Any]:
        """The frame counts. What a JSON answer says of it; raises `SequenceGap`."""


async def begin_turn(
    sessions: Sessions, asked: ActRequest, reference: str, find: FindPolicy, as_json: bool
) -> Turn:
    """`find` gives the policy of a reference; `as_json`: whether the answer will be JSON."""
    held = asked.held
    assert held is not None
    if held.session_id is None:
        if not as_json:
            text = "Only JSON has room for `state`: ask for it with `Accept: application/json`."
            raise ActRefused("state_needs_json", text, param="Accept")
        policy = await find(reference)
        return _ClientTurn(policy, _read_frame(policy, asked), held.state)
    session = sessions.get(held.session_id, reference)
    policy = await find(session.policy_id)
    step = session.episode.step(policy.actor.frames, held.t, held.reset, _read_frame(policy, asked))
    if asked.log and asked.episode is None:
        asked.episode, asked.t = f"{session.id}:{step.number}", step.t
    return _SessionTurn(policy, sessions, session, step)


def _read_frame(policy: LivePolicy, asked: ActRequest) -> Floats:
    """(1, W)"""
    row, is_batch = read_rows(policy.actor.frames.space, asked.value, asked.is_batch, max_batch=1)
    refuse_batch(is_batch)
    asked.is_batch = False
    return row


class _SessionTurn:
    def __init__(
        self, policy: LivePolicy, sessions: Sessions, session: Session, step: Step
    ) -> None:
        self.policy = policy
        self.rows = step.rows
        self._sessions = sessions
        self._session = session
        self._step = step

    def require_next(self) -> None:
        self._session.episode.require_next(self._step)

    def end(self) -> dict[str, Any]:
        self._session.episode.advance(self._step)
        self._sessions.use(self._session)
        return {"session_id": self._session.id, "t": self._step.t}


class _ClientTurn:
    def __init__(self, policy: LivePolicy, frame: Floats, state: str | None) -> None:
        self.policy = policy
        form = policy.actor.frames
        frames: Frames | None = None if state is None else unpack(form, state)
        self.rows, self._kept = form.after(frames, frame)

    def require_next(self) -> None:
        """A state may be used again."""

    def end(self) -> dict[str, Any]:
        return {"state": pack(self.policy.actor.frames, self._kept)}
