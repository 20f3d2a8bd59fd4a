"""Which versions act for a bare name: by weight, and beside them some whose actions nobody gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.database import Database
from store.errors import InvalidInput, NotFound, TrafficMoved
from store.manifests import Described, described
from store.servable import history_of, kind_of
from store.tables import Policy, PolicyTraffic
from store.versions import lock_name, require_name


@dataclass(frozen=True, kw_only=True)
class Share:
    version: int
    weight: float  # beside the others' weights


@dataclass(frozen=True, kw_only=True)
class Traffic:
    name: str
    revision: int
    routes: Sequence[Share]
    shadow: Sequence[int]
    updated_at: int

    @property
    def versions(self) -> list[int]:
        return [*(route.version for route in self.routes), *self.shadow]


def set_traffic(
    database: Database,
    name: str,
    routes: Sequence[Share],
    shadow: Sequence[int],
    expected_revision: int | None,
) -> Traffic:
    """Raises `TrafficMoved` unless it has `expected_revision`; None: unless there is none."""
    with database.write() as session:
        lock_name(session, name)
        before = _expected(session, name, expected_revision)
        versions = [*(route.version for route in routes), *shadow]
        _require_alike(session, name, _policies(session, name, versions))
        return _traffic(_write(session, name, before, [vars(r) for r in routes], list(shadow)))


def clear_traffic(database: Database, name: str, expected_revision: int) -> None:
    """The name means its newest version again."""
    with database.write() as session:
        lock_name(session, name)
        _write(session, name, _expected(session, name, expected_revision), [], [])


def _expected(session: Session, name: str, expected_revision: int | None) -> PolicyTraffic | None:
    """The row to change, if there ever was one."""
    row = session.get(PolicyTraffic, name)
    current = row.revision if row is not None and row.routes else None
    if current != expected_revision:
        has = "has no traffic settings" if current is None else f"has revision {current}"
        raise TrafficMoved(
            f"expected_revision={expected_revision}: the traffic of {name!r} {has} now.",
            param="expected_revision",
            current_revision=current,
        )
    return row


def _write(
    session: Session, name: str, before: PolicyTraffic | None, routes: list[Any], shadow: list[Any]
) -> PolicyTraffic:
    row = before or PolicyTraffic(name=name, revision=0)
    row.updated_at = session.execute(select(now_ms())).scalar_one()
    row.revision, row.routes, row.shadow = row.revision + 1, routes, shadow
    session.add(row)
    return row


def _policies(session: Session, name: str, versions: Sequence[int]) -> dict[int, Policy]:
    """By version, in this order. Raises `NotFound` if one is missing."""
    query = select(Policy).where(Policy.name == name, Policy.version.in_(versions))
    found = {policy.version: policy for policy in session.scalars(query)}
    for version in versions:
        if version not in found:
            raise NotFound("policy", f"{name}:{version}")
    return {version: found[version] for version in versions}


def _require_alike(session: Session, name: str, policies: Mapping[int, Policy]) -> None:
    """A client cannot know which of them gets its observation."""
    facts = described(session, {policy.checkpoint_id for policy in policies.values()})
    forms = {version: _form(facts[policy.checkpoint_id]) for version, policy in policies.items()}
    first = next(iter(forms))
    for version, form in forms.items():
        if differing := [part for part in form if form[part] != forms[first][part]]:
            raise InvalidInput(
                f"version={version}: {name}:{version} has another {differing[0]} than "
                f"{name}:{first}; allowed: versions that take the same observations and give the "
                "same kind of action.",
                param="routes",
            )


def _form(facts: Described) -> dict[str, Any]:
    """What a client's observation and the action depend on."""
    manifest = facts.manifest
    return {
        "observation_space": manifest["observation_space"],
        "action_space": manifest["action_space"],
        "history": history_of(manifest),
        "observation_kind": kind_of(manifest),
    }


def find_traffic(session: Session, name: str) -> Traffic:
    require_name(session, name)
    found = traffic_of(session, name)
    if found is None:
        raise NotFound("traffic", name, param="name")
    return found


def traffic_of(session: Session, name: str) -> Traffic | None:
    """None: the name means its newest version."""
    row = session.get(PolicyTraffic, name)
    return _traffic(row) if row is not None and row.routes else None


def ids_of(session: Session, traffic: Traffic) -> dict[int, str]:
    """Of its policies, by version."""
    policies = _policies(session, traffic.name, traffic.versions)
    return {version: policy.id for version, policy in policies.items()}


def _traffic(row: PolicyTraffic) -> Traffic:
    return Traffic(
        name=row.name,
        revision=row.revision,
        routes=[Share(**route) for route in row.routes],
        shadow=row.shadow,
        updated_at=row.updated_at,
    )
