"""Words for versions of a policy: `name@alias`. A promotion, and a rollback, is a move of one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.cursor import decode_number, encode_cursor
from store.database import Database
from store.errors import AliasMoved, NotFound
from store.ids import require_storable
from store.tables import Policy, PolicyAlias, PolicyAliasMove
from store.versions import lock_name, require_name


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
        policy_id, current, now = _now(session, name, alias, version)
        if policy_id is None:
            raise NotFound("policy", f"{name}:{version}")
        _require_expected(name, alias, current, expected_version)
        target = {"policy_id": policy_id, "moved_at": now}
        if current is None:
            session.execute(insert(PolicyAlias).values(name=name, alias=alias, **target))
        else:
            session.execute(update(PolicyAlias).where(*_is(name, alias)).values(target))
        _note(session, name, alias, current, version, now)
    return Alias(name=name, alias=alias, version=version, policy_id=policy_id, moved_at=now)


def delete_alias(database: Database, name: str, alias: str, expected_version: int) -> None:
    """Its history stays."""
    with database.write() as session:
        lock_name(session, name)
        _, current, now = _now(session, name, alias, expected_version)
        _require_expected(name, alias, current, expected_version)
        session.execute(delete(PolicyAlias).where(*_is(name, alias)))
        _note(session, name, alias, current, None, now)


def _now(
    session: Session, name: str, alias: str, version: int
) -> tuple[str | None, int | None, int]:
    """The id of that version, the version that the alias means, and the time: in one question, for
    each costs a busy server several turns of the interpreter's lock."""
    policy_id = select(Policy.id).where(Policy.name == name, Policy.version == version)
    current = (
        select(Policy.version)
        .join(PolicyAlias, PolicyAlias.policy_id == Policy.id)
        .where(*_is(name, alias))
    )
    query = select(policy_id.scalar_subquery(), current.scalar_subquery(), now_ms())
    found, means, now = session.execute(query).one()
    return found, means, now


def _is(name: str, alias: str) -> tuple[ColumnElement[bool], ...]:
    return PolicyAlias.name == name, PolicyAlias.alias == alias


def _require_expected(
    name: str, alias: str, current: int | None, expected_version: int | None
) -> None:
    if current != expected_version:
        means = "does not exist" if current is None else f"means version {current}"
        raise AliasMoved(
            f"expected_version={expected_version}: {name}@{alias} {means} now.",
            param="expected_version",
            current_version=current,
        )


def _note(
    session: Session, name: str, alias: str, before: int | None, after: int | None, at: int
) -> None:
    row = {"name": name, "alias": alias, "from_version": before, "to_version": after, "at": at}
    session.execute(insert(PolicyAliasMove).values(row))


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
