"""Names with versions that never come back: of policies, and of datasets."""

from typing import TypeVar

from sqlalchemy import Select, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.errors import NotFound
from store.ids import require_storable
from store.tables import Dataset, DatasetName, Policy, PolicyName

Versioned = TypeVar("Versioned", Policy, Dataset)
KINDS = {Policy: ("policy", "pol_"), Dataset: ("dataset", "ds_")}


def next_version(session: Session, counter: type[PolicyName | DatasetName], name: str) -> int:
    """Of two that ask at once the second one waits at the row."""
    module = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    first = module.insert(counter).values(name=name, version=1)
    query = first.on_conflict_do_update(
        index_elements=[counter.name], set_={"version": counter.version + 1}
    )
    version: int = session.execute(query.returning(counter.version)).scalar_one()
    return version


def lock_name(session: Session, name: str) -> None:
    """Whoever changes what a policy's name means does so one after the other. Raises `NotFound`."""
    require_storable("policy", name)
    query = select(PolicyName.name).where(PolicyName.name == name).with_for_update()
    if session.scalars(query).one_or_none() is None:
        raise NotFound("policy", name)


def require_name(session: Session, name: str) -> None:
    """Raises `NotFound` for a name that no policy ever had."""
    require_storable("policy", name)
    if session.get(PolicyName, name) is None:
        raise NotFound("policy", name)


def find_version(
    session: Session,
    table: type[Versioned],
    reference: str,
    query: Select[Versioned] | None = None,
) -> Versioned:
    """`reference`: an id, `name` (its newest version) or `name:3`."""
    kind, prefix = KINDS[table]
    require_storable(kind, reference)
    query = select(table) if query is None else query
    name, colon, version = reference.partition(":")
    if reference.startswith(prefix):
        query = query.where(table.id == reference)
    elif colon:
        plain = version.isascii() and version.isdecimal() and not version.startswith("0")
        if not (plain and len(version) < 10):
            raise NotFound(kind, reference)
        query = query.where(table.name == name, table.version == int(version))
    else:
        query = query.where(table.name == name).order_by(table.version.desc()).limit(1)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(kind, reference)
    return found
