"""Words for versions of a policy: `name@alias`. A promotion, and a rollback, is a move of one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.cursor import decode_number, encode_cursor
from store.database import Database
from store.errors import AliasMoved, NotFound
from store.ids import require_storable
from store.tables import Policy, PolicyAlias, PolicyAliasMove
from store.versions import find_version, lock_name, require_name


@dataclass(frozen=True, kw_only=True)
class Alias:
    name: str
    alias: str
    version: int
    policy_id: str
    moved_at: int


def move_alias(
    database: Database, name: str, alias: str, version: int, expected_version: int | None
) -> Alias:
    """Raises `AliasMoved` unless it means `expected_version` now; None: unless there is none."""
    with database.write() as session:
        lock_name(session, name)
        policy = find_version(session, Policy, f"{name}:{version}")
        before, row = _expected(session, name, alias, expected_version)
        now = session.execute(select(now_ms())).scalar_one()
        if row is None:
            row = PolicyAlias(name=name, alias=alias, policy_id=policy.id, moved_at=now)
            session.add(row)
        row.policy_id, row.moved_at = policy.id, now
        _note(session, row, before, version, now)
        return _alias(row, policy)


def delete_alias(database: Database, name: str, alias: str, expected_version: int) -> None:
    """Its history stays."""
    with database.write() as session:
        lock_name(session, name)
        before, row = _expected(session, name, alias, expected_version)
        if row is None:
            raise NotFound("alias", f"{name}@{alias}", param="alias")
        _note(session, row, before, None, session.execute(select(now_ms())).scalar_one())
        session.delete(row)


def _expected(
    session: Session, name: str, alias: str, expected_version: int | None
) -> tuple[int | None, PolicyAlias | None]:
    """What it means now, which is what the client thinks it does."""
    row = session.get(PolicyAlias, (name, alias))
    current = None if row is None else session.get_one(Policy, row.policy_id).version
    if current != expected_version:
        means = "does not exist" if current is None else f"means version {current}"
        raise AliasMoved(
            f"expected_version={expected_version}: {name}@{alias} {means} now.",
            param="expected_version",
            current_version=current,
        )
    return current, row


def _note(
    session: Session, row: PolicyAlias, before: int | None, after: int | None, at: int
) -> None:
    move = PolicyAliasMove(
        name=row.name, alias=row.alias, from_version=before, to_version=after, at=at
    )
    session.add(move)


def list_aliases(session: Session, name: str) -> list[Alias]:
    """By alias."""
    require_name(session, name)
    query = (
        select(PolicyAlias, Policy)
        .join(Policy, Policy.id == PolicyAlias.policy_id)
        .where(PolicyAlias.name == name)
        .order_by(PolicyAlias.alias)
    )
    return [_alias(row, policy) for row, policy in session.execute(query)]


def list_moves(
    session: Session, name: str, alias: str, *, limit: int = 20, cursor: str | None = None
) -> tuple[Sequence[PolicyAliasMove], str | None]:
    """Newest first. Returns the page and the cursor of the next one."""
    query = (
        select(PolicyAliasMove)
        .where(PolicyAliasMove.name == name, PolicyAliasMove.alias == alias)
        .order_by(PolicyAliasMove.number.desc())
        .limit(limit + 1)
    )
    require_name(session, name)
    if cursor is not None:
        query = query.where(PolicyAliasMove.number < decode_number(cursor))
    rows = session.scalars(query).all()
    if not rows and cursor is None:
        raise NotFound("alias", f"{name}@{alias}", param="alias")
    page = rows[:limit]
    return page, encode_cursor(page[-1].number) if len(rows) > limit else None


def find_aliased(session: Session, reference: str) -> Policy:
    """`reference`: `name@alias`."""
    require_storable("policy", reference)
    name, _, alias = reference.partition("@")
    query = (
        select(Policy)
        .join(PolicyAlias, PolicyAlias.policy_id == Policy.id)
        .where(PolicyAlias.name == name, PolicyAlias.alias == alias)
    )
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound("policy", reference)
    return found


def _alias(row: PolicyAlias, policy: Policy) -> Alias:
    return Alias(
        name=row.name,
        alias=row.alias,
        version=policy.version,
        policy_id=policy.id,
        moved_at=row.moved_at,
    )
