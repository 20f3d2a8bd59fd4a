"""Control loops whose history this server process holds, in its memory only.

The process's tag is part of a session's id, so that another process that is asked by mistake can
say where the session is, instead of that it is unknown.
"""

import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from app.refusals import SessionElsewhere, SessionExpired, SessionOfAnotherPolicy, TooManySessions
from app.serving.history import Episode
from app.serving.policies import LivePolicy

# Of a session beside its frames: the objects, and their place in two tables.
OVERHEAD_BYTES = 1024
_PREFIX = "ses"


class Session:
    __slots__ = ("episode", "history", "id", "name", "policy_id", "size_bytes", "used", "version")

    def __init__(self, id: str, policy: LivePolicy, used: float) -> None:
        """`used`: when it was last, by a monotonic clock."""
        self.id = id
        self.policy_id = policy.id
        self.name = policy.name
        self.version = policy.version
        self.history = policy.actor.frames.history
        self.size_bytes = OVERHEAD_BYTES + policy.actor.frames.kept_bytes
        self.episode = Episode()
        self.used = used

    def require_of(self, reference: str) -> None:
        """A name alone, or with an alias, is right in any case: the version is pinned."""
        name, colon, version = reference.partition(":")
        named = name.partition("@")[0] == self.name and colon + version in (
            "",
            f":{self.version}",
        )
        if not named and reference != self.policy_id:
            text = f"Session {self.id} acts by {self.name}:{self.version}, not by {reference[:160]}"
            raise SessionOfAnotherPolicy(f"{text}.", param="session_id")


class Sessions:
    """Used on the event loop only."""

    def __init__(
        self,
        idle_seconds: float,
        max_sessions: int,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        owner: str = "",
    ) -> None:
        """`owner`: what this server process is called; by chance if it has no name."""
        self.owner = owner or secrets.token_hex(4)
        self._idle_seconds = idle_seconds
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # the longest idle one first
        self._size_bytes = 0

    def open(self, policy: LivePolicy) -> Session:
        """Raises `TooManySessions`."""
        self._drop_idle()
        session = Session(f"{_PREFIX}_{self.owner}_{secrets.token_hex(12)}", policy, self._clock())
        if len(self._sessions) >= self._max_sessions:
            text = f"This server holds {len(self._sessions)} sessions (MRQ_MAX_SESSIONS)"
            raise TooManySessions(f"{text}: end those that are over, or try again.")
        if self._size_bytes + session.size_bytes > self._max_bytes:
            text = (
                f"This server's sessions hold {self._size_bytes} bytes, and MRQ_MAX_SESSION_BYTES "
                f"allows {self._max_bytes}: end those that are over, or try again."
            )
            raise TooManySessions(text)
        self._sessions[session.id] = session
        self._size_bytes += session.size_bytes
        return session

    def get(self, session_id: str, reference: str) -> Session:
        """Raises `SessionElsewhere`, `SessionExpired` or `SessionOfAnotherPolicy`."""
        self._drop_idle()
        session = self._sessions.get(session_id)
        if session is None:
            raise self._absent(session_id)
        session.require_of(reference)
        return session

    def use(self, session: Session) -> None:
        """From now on it is idle again."""
        session.used = self._clock()
        if session.id in self._sessions:  # it may have been ended meanwhile
            self._sessions.move_to_end(session.id)

    def end(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self._size_bytes -= session.size_bytes

    def seconds_left(self, session: Session) -> float:
        return session.used + self._idle_seconds - self._clock()

    def counts(self) -> Counter[tuple[str, int]]:
        """By name and version of the policy."""
        self._drop_idle()
        return Counter((each.name, each.version) for each in self._sessions.values())

    def _drop_idle(self) -> None:
        oldest = self._clock() - self._idle_seconds
        while self._sessions:
            session = next(iter(self._sessions.values()))
            if session.used > oldest:
                return
            self.end(session)

    def _absent(self, session_id: str) -> SessionElsewhere | SessionExpired:
        prefix, _, rest = session_id[:80].partition("_")
        owner, _, random = rest.partition("_")
        if prefix == _PREFIX and owner and random and owner != self.owner:
            text = (
                f"Session {session_id[:80]} is held by the server process {owner!r}, and this is "
                f"{self.owner!r}: ask that one, or open a new session if it is no more."
            )
            return SessionElsewhere(text, param="session_id", owner=owner)
        text = (
            f"Session {session_id[:80]!r} is not open: it was idle for {self._idle_seconds:g} "
            "seconds (MRQ_SESSION_IDLE_SECONDS), was ended, or never was."
        )
        return SessionExpired(text, param="session_id")
