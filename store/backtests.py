"""Backtests: what was found, and how often anybody has looked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, undefer

from store.clock import now_ms
from store.database import Database
from store.errors import InvalidInput, NotFound
from store.ids import new_id, require_storable
from store.policies import find_policy
from store.spec import EnvironmentSpec, JobSpec
from store.tables import Backtest, Dataset, Job, Policy

SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A policy that trades, with the environment that it was trained in."""

    policy: Policy
    environment: EnvironmentSpec
    dataset: Dataset


def what_is_tested(session: Session, reference: str) -> Tested:
    policy = find_policy(session, reference)
    job = session.get_one(Job, policy.job_number)
    environment = JobSpec.model_validate(job.spec).environment
    if environment.dataset_id is None or environment.entry.dataset_role != "timeseries":
        raise InvalidInput(
            f"Policy {policy.name}:{policy.version} was trained in {environment.id}: a backtest is "
            "for policies that trade a dataset of prices.",
            param="reference",
        )
    dataset = session.get_one(Dataset, environment.dataset_id)
    return Tested(policy=policy, environment=environment, dataset=dataset)


def record_backtest(database: Database, tested: Tested, report: dict[str, Any]) -> Backtest:
    """`NotFound` if the policy was deleted meanwhile."""
    with database.write() as session:
        counted = (
            update(Dataset)
            .where(Dataset.id == tested.dataset.id)
            .values(looks=Dataset.looks + 1)
            .returning(Dataset.looks)
        )
        query = select(Policy.id).where(Policy.id == tested.policy.id).with_for_update(read=True)
        if session.scalars(query).one_or_none() is None:
            raise NotFound("policy", tested.policy.id)
        backtest = Backtest(
            id=new_id("bt"),
            policy_id=tested.policy.id,
            dataset_id=tested.dataset.id,
            look=session.execute(counted).scalar_one(),
            report=report,
            created_at=session.execute(select(now_ms())).scalar_one(),
        )
        session.add(backtest)
        return backtest


def find_backtest(session: Session, backtest_id: str) -> Backtest:
    require_storable("backtest", backtest_id)
    query = select(Backtest).where(Backtest.id == backtest_id).options(undefer(Backtest.report))
    backtest = session.scalars(query).one_or_none()
    if backtest is None:
        raise NotFound("backtest", backtest_id)
    return backtest


def backtests_of(session: Session, policy_id: str) -> Sequence[Backtest]:
    """Newest first, with their reports."""
    query = (
        select(Backtest)
        .where(Backtest.policy_id == policy_id)
        .options(undefer(Backtest.report))
        .order_by(Backtest.id.desc())
        .limit(SHOWN)
    )
    return session.scalars(query).all()
