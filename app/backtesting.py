"""A backtest of a loaded policy: its own bytes decide, as they do for `act`."""

from dataclasses import asdict
from typing import Any

import numpy as np

from app.serving.bundle import Actor
from app.serving.observation import read_observation
from mrq_core.intervals import CONFIDENCE
from mrq_core.markets.account import Costs
from mrq_core.markets.backtest import Decide, Result, Rules, TooManyRows, backtest
from mrq_core.markets.features import Frames
from mrq_core.markets.metrics import block_length
from mrq_core.markets.report import iso_time
from mrq_core.markets.series import Columns, Series, open_series
from mrq_core.markets.split import Splits, split
from store.backtests import Tested
from store.dataset_files import DatasetDamaged, DatasetFiles, file_name
from store.errors import FileGone, InvalidInput
from store.spec import EnvironmentSpec

PROMISE = "Past data promises nothing: what a policy earned on it may be lost on the next day."
MAX_POINTS = 400


def run_backtest(files: DatasetFiles, tested: Tested, actor: Actor) -> dict[str, Any]:
    """The report, JSON. Takes seconds: not for the event loop."""
    environment = tested.environment
    series = _series(files, environment)
    kwargs = environment.kwargs
    splits = split(
        len(series),
        validation_fraction=kwargs["validation_fraction"],
        test_fraction=kwargs["test_fraction"],
        embargo=kwargs["embargo"],
    )
    assert environment.history is not None, "it is resolved"
    rules = Rules(
        costs=Costs(fee=kwargs["fee"], slippage=kwargs["slippage"]),
        allow_short=kwargs["allow_short"],
        relative=kwargs["relative"],
        history=environment.history,
    )
    try:
        result = backtest(series, splits, rules, _decisions(actor, environment.history))
    except TooManyRows as error:
        raise InvalidInput(f"No backtest: {error}.", param="reference") from error
    return _report(series, splits, result)


def _series(files: DatasetFiles, environment: EnvironmentSpec) -> Series:
    fact = environment.dataset
    assert fact is not None, "it is resolved"
    assert environment.dataset_id is not None
    columns = Columns(roles=fact.roles, features=tuple(fact.features))
    try:
        path = files.fetch(file_name(fact.sha256, environment.dataset_id))
    except DatasetDamaged as error:
        raise FileGone(f"The dataset cannot be read: {error}") from error
    return open_series(path, fact.sha256, columns)


def _decisions(actor: Actor, history: int) -> Decide:
    """The most likely action, as `act` answers without `mode`."""

    def decide(window: Frames) -> int:
        frames = window.tolist()
        rows = read_observation(actor.observation_space, frames if history > 1 else frames[0])
        return int(actor.deterministic(actor.forward(rows))[0])

    return decide


def _report(series: Series, splits: Splits, result: Result) -> dict[str, Any]:
    rows = splits.test
    shown = np.unique(np.linspace(0, len(rows) - 1, MAX_POINTS).round().astype(int))
    times = series.times[rows.start : rows.stop]
    return {
        "rows": len(rows),
        "first": iso_time(times[0]),
        "last": iso_time(times[-1]),
        "strategies": [
            {
                "name": each.name,
                **asdict(each.metrics),
                "equity": [float(value) for value in each.walk.equity[shown]],
            }
            for each in result.strategies
        ],
        "times": [iso_time(each) for each in times[shown]],
        "confidence": CONFIDENCE,
        "block_rows": block_length(len(rows) - 1),
        "intervals": asdict(result.intervals),
        "lead": result.lead,
        "random_runs": result.random_runs,
        "random_beaten": result.beaten,
        "promise": PROMISE,
    }
