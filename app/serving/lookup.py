"""What a reference means, by the database."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.serving.traffic import Split, split_of
from store.database import Database
from store.errors import NotFound
from store.policies import find_policy
from store.tables import Policy
from store.traffic import ids_of, traffic_of

MAX_REFERENCE = 160


@dataclass(frozen=True, slots=True)
class Target:
    policy_id: str
    split: Split | None = None  # of a bare name, for its act requests

    @property
    def ids(self) -> tuple[str, ...]:
        """Of those that act by it."""
        return (self.policy_id,) if self.split is None else self.split.ids


@dataclass(frozen=True, slots=True)
class Found:
    target: Target
    is_fixed: bool  # it can mean nothing else, ever
    known_is_gone: bool


def look_up(database: Database, reference: str, known_id: str | None) -> Found:
    """`known_id`: the policy that it meant before. Raises `NotFound`."""
    if len(reference) > MAX_REFERENCE:
        raise NotFound("policy", reference[:MAX_REFERENCE])
    with database.read() as session:
        policy = find_policy(session, reference)
        is_fixed = reference == policy.id or ":" in reference
        is_name = not is_fixed and "@" not in reference
        return Found(
            target=Target(policy.id, _split(session, policy.name) if is_name else None),
            is_fixed=is_fixed,
            known_is_gone=known_id not in (None, policy.id)
            and session.get(Policy, known_id) is None,
        )


def _split(session: Session, name: str) -> Split | None:
    traffic = traffic_of(session, name)
    return None if traffic is None else split_of(traffic, ids_of(session, traffic))
