"""Actions that clients had logged, each joined at most once with what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.database import Database
from store.errors import SequenceTaken
from store.tables import LoggedAction

# joined: now. duplicate: it was, by these very values. The others change nothing.
Joined = Literal["joined", "duplicate", "unknown", "conflict", "too_late"]
READ_AT_ONCE = 1_000


@dataclass(frozen=True, kw_only=True)
class Action:
    """One row to be: `observation` and `action` are flat."""

    id: str
    policy_id: str
    policy_name: str
    mode: str
    observation: list[float]
    action: list[float]
    propensity: float | None
    episode: str | None
    t: int | None


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Of an action by its id, or by episode and t."""

    action_id: str | None
    episode: str | None
    t: int | None
    reward: float
    terminated: bool | None
    truncated: bool | None


def log_actions(database: Database, actions: Sequence[Action]) -> None:
    """All or none. Raises `SequenceTaken` if one stands at an episode's `t` that is taken."""
    try:
        with database.write() as session:
            rows = [{**vars(action), "created_at": now_ms()} for action in actions]
            for row in rows:
                session.execute(insert(LoggedAction).values(row))
    except IntegrityError:
        taken = _taken(database, actions)
        raise SequenceTaken(
            f"episode={taken.episode!r} has an action at t={taken.t} already; t must be new.",
            param="t",
        ) from None


def _taken(database: Database, actions: Sequence[Action]) -> Action:
    seen: set[tuple[str, str | None, int | None]] = set()
    with database.read() as session:
        for action in actions:
            place = (action.policy_name, action.episode, action.t)
            if action.episode is not None and (place in seen or _at(session, *place)):
                return action
            seen.add(place)
    return actions[0]


def _at(session: Session, name: str, episode: str | None, t: int | None) -> bool:
    query = select(LoggedAction.id).where(
        LoggedAction.policy_name == name, LoggedAction.episode == episode, LoggedAction.t == t
    )
    return session.scalars(query).first() is not None


def give_feedback(
    database: Database, policy_name: str, given: Sequence[Feedback], window_seconds: float
) -> list[Joined]:
    """One outcome for each, in their order. `window_seconds`: after its action, no longer."""
    with database.write() as session:
        return [_join(session, policy_name, each, window_seconds) for each in given]


def _join(session: Session, name: str, given: Feedback, window_seconds: float) -> Joined:
    # Of two that come at once the second one waits here, and finds the first one's feedback.
    found = session.scalars(_named(name, given).with_for_update()).one_or_none()
    if found is None:
        return "unknown"
    values = {
        "reward": given.reward,
        "terminated": given.terminated,
        "truncated": given.truncated,
    }
    if found.feedback_at is not None:
        same = all(getattr(found, field) == value for field, value in values.items())
        return "duplicate" if same else "conflict"
    now = session.execute(select(now_ms())).scalar_one()
    if now > found.created_at + 1000 * window_seconds:
        return "too_late"
    for field, value in values.items():
        setattr(found, field, value)
    found.feedback_at = now
    session.flush()  # the next one of a list may name the same action
    return "joined"


def _named(name: str, given: Feedback) -> Any:
    query = select(LoggedAction).where(LoggedAction.policy_name == name)
    if given.action_id is not None:
        return query.where(LoggedAction.id == given.action_id)
    return query.where(LoggedAction.episode == given.episode, LoggedAction.t == given.t)


@dataclass(frozen=True)
class Counts:
    actions: int
    joined: int
    reward_mean: float | None


def count_actions(session: Session, policy_name: str) -> Counts:
    query = select(
        func.count(), func.count(LoggedAction.feedback_at), func.avg(LoggedAction.reward)
    ).where(LoggedAction.policy_name == policy_name)
    actions, joined, mean = session.execute(query).one()
    return Counts(actions, joined, None if mean is None else float(mean))


def size_of_log(session: Session) -> int:
    return session.execute(select(func.count()).select_from(LoggedAction)).scalar_one()


def read_actions(session: Session, policy_name: str) -> Iterator[LoggedAction]:
    """By episode and t; those of no episode in the order in which they came."""
    query = (
        select(LoggedAction)
        .where(LoggedAction.policy_name == policy_name)
        .order_by(LoggedAction.episode, LoggedAction.t, LoggedAction.id)
        .execution_options(yield_per=READ_AT_ONCE)
    )
    yield from session.scalars(query)


def forget_actions(database: Database, policy_name: str) -> int:
    """How many there were."""
    with database.write() as session:
        gone = delete(LoggedAction).where(LoggedAction.policy_name == policy_name)
        count = count_actions(session, policy_name).actions
        session.execute(gone)
        return count
