"""Backtests as the API shows them."""

from typing import cast

from app.dataset_schemas import BacktestReport, BacktestView
from store.clock import to_rfc3339
from store.tables import Backtest


def backtest_view(backtest: Backtest) -> BacktestView:
    """Of one that was read with its report."""
    report = cast(BacktestReport, backtest.report)  # as `app.backtesting` has made it
    return {
        "id": backtest.id,
        "policy_id": backtest.policy_id,
        "dataset_id": backtest.dataset_id,
        "look": backtest.look,
        "created_at": to_rfc3339(backtest.created_at),
        "report": report,
        "links": {
            "self": f"/backtests/{backtest.id}",
            "policy": f"/policies/{backtest.policy_id}",
            "dataset": f"/datasets/{backtest.dataset_id}",
            "page": f"/ui/backtests/{backtest.id}",
        },
    }
