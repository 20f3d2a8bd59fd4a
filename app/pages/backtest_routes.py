"""The address of a backtest's page, and the button that makes one."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from app.deps import ReadSession
from app.pages.backtest_page import read_backtest
from app.pages.rendering import page
from app.routes.backtests import tested_now
from store.backtests import find_backtest

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Path(max_length=160)]


@router.get("/ui/backtests/{backtest_id}")
def backtest_page(request: Request, session: ReadSession, backtest_id: Id) -> Response:
    found = find_backtest(session, backtest_id)
    return page(request, "backtest.html", **read_backtest(session, found))


@router.post("/ui/policies/{reference}/backtest")
async def test_policy(request: Request, reference: Id) -> Response:
    backtest = await tested_now(request, reference)
    return RedirectResponse(f"/ui/backtests/{backtest.id}", status_code=303)
