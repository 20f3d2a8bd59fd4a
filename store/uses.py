"""What must not be deleted, for aliases and traffic settings name it."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.errors import NotFound, Pinned
from store.tables import Policy, PolicyAlias
from store.traffic import traffic_of
from store.versions import lock_name


def require_unused(session: Session, policies: Sequence[Policy], *, param: str) -> None:
    """Raises `Pinned`. Their names stay locked until the transaction ends, so that nothing comes
    to use them meanwhile."""
    for name in sorted({policy.name for policy in policies}):
        try:
            lock_name(session, name)
        except NotFound:  # of an earlier release's row, which counted no versions
            continue
    for policy in policies:
        _require_no_alias(session, policy, param)
        _require_no_traffic(session, policy, param)


def _require_no_alias(session: Session, policy: Policy, param: str) -> None:
    query = select(PolicyAlias).where(PolicyAlias.policy_id == policy.id)
    query = query.order_by(PolicyAlias.alias)
    if aliases := [f"{row.name}@{row.alias}" for row in session.scalars(query)]:
        raise Pinned(
            f"Policy {policy.name}:{policy.version} is what {', '.join(aliases)} "
            f"{'means' if len(aliases) == 1 else 'mean'}. Move or delete "
            f"{'the alias' if len(aliases) == 1 else 'the aliases'} first.",
            param=param,
            aliases=aliases,
        )


def _require_no_traffic(session: Session, policy: Policy, param: str) -> None:
    traffic = traffic_of(session, policy.name)
    if traffic is not None and policy.version in traffic.versions:
        raise Pinned(
            f"Policy {policy.name}:{policy.version} is in the traffic settings of "
            f"{policy.name!r}. Take it out of them first.",
            param=param,
            traffic=policy.name,
        )
