"""The page of a backtest: curves, figures, and what they do not promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.backtest_views import backtest_view
from app.pages.drawing import LEFT, RIGHT, Tick, points, scale, value_scale, value_ticks
from app.pages.formats import gain
from store.backtests import Tested, what_is_tested
from store.tables import Backtest, Job

NAMES: Mapping[str, str] = {
    "policy": "The policy",
    "buy_and_hold": "Buy and hold",
    "flat": "Always flat",
    "random": "Random actions",
}
DATES = 5


@dataclass(frozen=True, kw_only=True)
class Line:
    name: str
    label: str
    points: str


@dataclass(frozen=True, kw_only=True)
class Curves:
    lines: Sequence[Line]
    dates: Sequence[Tick]
    equities: Sequence[Tick]


def read_backtest(session: Session, backtest: Backtest) -> dict[str, Any]:
    tested = what_is_tested(session, backtest.policy_id)
    report = backtest.report
    return {
        "backtest": backtest_view(backtest),
        "report": report,
        "names": NAMES,
        "policy": tested.policy,
        "dataset": tested.dataset,
        "job": session.get_one(Job, tested.policy.job_number),
        "rules": _rules(tested),
        "curves": _draw(report),
        "told": _told(report),
    }


def _rules(tested: Tested) -> str:
    kwargs = tested.environment.kwargs
    short = "with" if kwargs["allow_short"] else "without"
    return (
        f"fee {kwargs['fee'] * 100:g} %, slippage {kwargs['slippage'] * 100:g} %, {short} short "
        f"positions, embargo {kwargs['embargo']} rows"
    )


def _draw(report: Mapping[str, Any]) -> Curves:
    strategies = report["strategies"]
    values = [value for each in strategies for value in each["equity"]]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    last = len(report["times"]) - 1
    x, y = scale(0, last, LEFT, RIGHT), value_scale(low, high)
    shown = [round(last * part / (DATES - 1)) for part in range(DATES)]
    return Curves(
        lines=[
            Line(
                name=each["name"],
                label=NAMES[each["name"]],
                points=points((x(n), y(value)) for n, value in enumerate(each["equity"])),
            )
            for each in strategies
        ],
        dates=[Tick(at=x(n), label=report["times"][n][:10]) for n in shown],
        equities=value_ticks(low, high),
    )


def _told(report: Mapping[str, Any]) -> str:
    """The result in sentences, which say so where it is within chance."""
    policy, holding, *_ = report["strategies"]
    interval = report["intervals"]["total_return"]
    lead = report["intervals"]["lead"]
    ahead = report["lead"]
    beats = "more than" if ahead > 0 else "less than" if ahead < 0 else "as much as"
    sure_by = f"{report['confidence'] * 100:g} % interval"
    inside = lead["low"] <= 0 <= lead["high"]
    sure = "includes 0, so this may be chance" if inside else "does not include 0"
    return (
        f"Over {report['rows']} rows the policy earned {gain(policy['total_return'])} "
        f"({sure_by} {gain(interval['low'])} to {gain(interval['high'])}), {beats} buy and "
        f"hold with {gain(holding['total_return'])}. The interval of the difference, from rows "
        f"resampled in blocks of {report['block_rows']}, {sure}. It earned more than "
        f"{report['random_beaten'] * 100:.0f} % of {report['random_runs']} random runs."
    )
