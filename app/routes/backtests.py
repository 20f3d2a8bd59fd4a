"""What a policy would have earned on the rows that nobody had looked at."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool

from app.answers import Json, page
from app.backtest_views import backtest_view
from app.backtesting import run_backtest
from app.dataset_schemas import BacktestView
from app.deps import ReadSession
from app.routes.policies import Reference
from app.schemas import Page
from app.serving.policies import LoadedPolicies
from store.backtests import (
    Tested,
    backtests_of,
    find_backtest,
    record_backtest,
    what_is_tested,
)
from store.database import Database
from store.policies import find_policy
from store.tables import Backtest

router = APIRouter(tags=["policies"])


@router.post("/policies/{reference}/backtest", status_code=201, response_model=BacktestView)
async def create_backtest(reference: Reference, request: Request) -> Json:
    """On the test split of the dataset that it was trained on, beside buy-and-hold, staying out,
    and random actions."""
    backtest = await tested_now(request, reference)
    return Json(backtest_view(backtest), 201, {"Location": f"/backtests/{backtest.id}"})


@router.get("/policies/{reference}/backtests", response_model=Page[BacktestView])
def get_backtests(reference: Reference, session: ReadSession) -> Json:
    """Newest first, a hundred at most."""
    policy = find_policy(session, reference)
    return Json(page([backtest_view(each) for each in backtests_of(session, policy.id)]))


@router.get("/backtests/{backtest_id}", response_model=BacktestView)
def get_backtest(backtest_id: Annotated[str, Path(max_length=128)], session: ReadSession) -> Json:
    return Json(backtest_view(find_backtest(session, backtest_id)))


async def tested_now(request: Request, reference: str) -> Backtest:
    state = request.app.state
    database: Database = state.database
    policies: LoadedPolicies = state.policies
    policy = await policies.get(reference)
    tested = await run_in_threadpool(_tested, database, policy.id)
    async with state.backtesting:
        report = await run_in_threadpool(run_backtest, state.dataset_files, tested, policy.actor)
    return await run_in_threadpool(record_backtest, database, tested, report)


def _tested(database: Database, policy_id: str) -> Tested:
    with database.read() as session:
        return what_is_tested(session, policy_id)
