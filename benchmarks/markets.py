"""`python -m benchmarks.markets`: what the tutorial of markets comes to, on the same real prices.

The tutorial's own job through a service of its own, and the backtest of its policy; and of the
table itself what docs/decisions/datasets.md says of it. Writes `markets.md` beside this file.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.applications.running import answer_of, wait_for
from benchmarks.prices_of_others import real_prices
from benchmarks.provenance import commit, machine, versions
from cli.embedded import embedded_service
from mrq_core.csv_table import Limits
from mrq_core.markets.features import HIGHEST
from mrq_core.markets.series import read_series
from mrq_core.markets.split import split
from store.catalogue.markets import TradingKwargs

PAGE = Path(__file__).with_suffix(".md")
LEFT_OUT = "Adj Close"
JOB: Mapping[str, Any] = {
    "name": "googl",
    "environment": {"id": "mrq/Trading-v0", "dataset_id": "googl"},
    "algorithm": {"preset": "small"},
    "budget": {"total_steps": 10_000},
}


def measured() -> tuple[dict[str, Any], float]:
    """The report, and the seconds that the job took."""
    with (
        tempfile.TemporaryDirectory(prefix="mrq-markets-") as folder,
        embedded_service(Path(folder)) as service,
        service.client() as client,
    ):
        asked = {"name": "googl", "drop": LEFT_OUT}
        headers = {"Content-Type": "text/csv"}
        prices = real_prices().read_bytes()
        answer_of(client.post("/datasets", params=asked, content=prices, headers=headers))
        begun = time.perf_counter()
        job = wait_for(client, answer_of(client.post("/jobs", json=JOB))["id"])
        seconds = time.perf_counter() - begun
        if job["status"] != "succeeded":
            raise SystemExit(f"{job['status']}: {job['status_message']}")
        report: dict[str, Any] = answer_of(client.post("/policies/googl/backtest"))["report"]
    return report, seconds


def levels() -> str:
    """What the prices themselves would tell an agent, were they scaled instead of their changes."""
    with real_prices().open("rb") as file:
        series = read_series(file, Limits(), dropped=[LEFT_OUT])
    usual = TradingKwargs()
    splits = split(
        len(series),
        validation_fraction=usual.validation_fraction,
        test_fraction=usual.test_fraction,
        embargo=usual.embargo,
    )
    closes = series.of("close")
    next_day = float(np.corrcoef(closes[:-1], closes[1:])[0, 1])
    learnt, tested = (closes[rows.start : rows.stop] for rows in (splits.train, splits.test))
    scaled = (tested - learnt.min()) / (learnt.max() - learnt.min())
    above, cut = (100 * float((scaled > bound).mean()) for bound in (1.0, HIGHEST))
    return (
        f"The correlation of closes with those of the next day is {next_day:.4f}. Closes that are "
        f"min-max scaled by the training rows are above 1 in {above:.0f} % of the test rows, and "
        f"above {HIGHEST:g}, where they would be cut, in {cut:.0f} %."
    )


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield "| | return | Sharpe, a year | deepest fall | trades |"
    yield "|---|---|---|---|---|"
    for each in report["strategies"]:
        gain = _percent(each["total_return"])
        if each["name"] == "policy":
            sure = f"{100 * report['confidence']:g} % interval"
            gain += f" ({sure} {_ends(report['intervals']['total_return'])})"
        sharpe = "" if each["sharpe"] is None else f"{each['sharpe']:.2f}"
        fall = f"{100 * each['max_drawdown']:.1f} %"
        yield f"| {each['name']} | {gain} | {sharpe} | {fall} | {each['trades']} |"


def page(report: Mapping[str, Any], seconds: float) -> str:
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    beaten = f"{100 * report['random_beaten']:.0f} % of {report['random_runs']} random runs"
    lead = f"{_percent(report['lead'])} ({_ends(report['intervals']['lead'])})"
    return "\n".join(
        [
            "# The tutorial of markets, measured",
            "",
            f"`python -m benchmarks.markets`, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}; "
            f"{machine()}; Python {platform.python_version()}, {known}. Seed 0, "
            f"{JOB['budget']['total_steps']:,} steps in {seconds:.0f} s.",
            "",
            f"{report['rows']} test rows from {report['first'][:10]} to {report['last'][:10]}.",
            "",
            *lines(report),
            "",
            f"Better than {beaten}. Lead over buy-and-hold in logarithms: {lead}.",
            "",
            levels(),
            "",
        ]
    )


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _ends(interval: Mapping[str, float]) -> str:
    return f"{_percent(interval['low'])} to {_percent(interval['high'])}"


def main() -> None:
    report, seconds = measured()
    PAGE.write_text(page(report, seconds))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
