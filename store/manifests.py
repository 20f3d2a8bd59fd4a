"""The manifests of policies, as they are described: without the golden pairs, which only serving
needs and which are megabytes of JSON for pixels."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session

from store.tables import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Described:
    step: int
    sha256: str
    manifest: dict[str, Any]


def described(session: Session, checkpoint_ids: Collection[str]) -> dict[str, Described]:
    """By checkpoint id."""
    query = select(
        Checkpoint.id, Checkpoint.step, Checkpoint.sha256, _without_golden(session)
    ).where(Checkpoint.id.in_(checkpoint_ids))
    return {
        identity: Described(step=step, sha256=sha256, manifest=manifest)
        for identity, step, sha256, manifest in session.execute(query)
    }


def first_golden(session: Session, checkpoint_id: str) -> list[float]:
    """An observation as the network takes it."""
    path = ("golden", "observations", 0)
    query = select(Checkpoint.manifest[path]).where(Checkpoint.id == checkpoint_id)
    found: list[float] = session.execute(query).scalar_one()
    return found


def _without_golden(session: Session) -> ColumnElement[dict[str, Any]]:
    manifest = Checkpoint.manifest
    if session.get_bind().dialect.name == "postgresql":
        golden: ColumnElement[str] = literal_column("'golden'::text")
        return manifest.op("-", return_type=manifest.type)(golden)
    return func.json_remove(manifest, "$.golden", type_=manifest.type)
