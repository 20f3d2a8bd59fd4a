"""Sessions of a control loop: the server holds the last frames, and pins the version."""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from app.answers import Json
from app.deps import PoliciesDep, SessionsDep
from app.routes.policies import Reference
from app.serving.sessions import Session, Sessions
from store.clock import to_ms, to_rfc3339

router = APIRouter(prefix="/policies/{reference}/sessions", tags=["policies"])

SessionId = Annotated[str, Path(max_length=128, description="`ses_...`")]


class SessionView(BaseModel):
    session_id: str
    policy_id: str
    name: str
    version: int = Field(description="Pinned: it acts for this session, whatever is promoted.")
    history: int = Field(description="Frames that the policy sees; send one a step.")
    t: int = Field(description="Of the next step; 0 with `reset` begins anew.")
    expires_at: str = Field(description="Unless it acts before.")
    owner: str = Field(description="The server process that holds it; no other one knows it.")


@router.post("", status_code=201, response_model=SessionView)
async def open_session(reference: Reference, policies: PoliciesDep, sessions: SessionsDep) -> Json:
    """Takes no body. Of a name or an alias, the version that it means now."""
    session = sessions.open(await policies.acting(reference))
    location = f"/policies/{session.policy_id}/sessions/{session.id}"
    return Json(_view(sessions, session), 201, {"Location": location})


@router.get("/{session_id}", response_model=SessionView)
async def get_session(reference: Reference, session_id: SessionId, sessions: SessionsDep) -> Json:
    return Json(_view(sessions, sessions.get(session_id, reference)))


@router.delete("/{session_id}", status_code=204, response_class=Response)
async def end_session(reference: Reference, session_id: SessionId, sessions: SessionsDep) -> None:
    sessions.end(sessions.get(session_id, reference))


def _view(sessions: Sessions, session: Session) -> dict[str, object]:
    return {
        "session_id": session.id,
        "policy_id": session.policy_id,
        "name": session.name,
        "version": session.version,
        "history": session.history,
        "t": session.episode.next_t,
        "expires_at": to_rfc3339(to_ms(time.time() + sessions.seconds_left(session))),
        "owner": sessions.owner,
    }
