"""A trader of the prices that the user uploads: mrq_core/tasks/trading.py."""

from pydantic import Field

from store.catalogue.entry import Area, EnvironmentEntry, Kwargs, Suggestion, one_of


class TradingKwargs(Kwargs):
    """Shares of the traded value, of the rows, and a number of rows."""

    fee: float = Field(default=0.001, ge=0.0, le=0.1)
    slippage: float = Field(default=0.0005, ge=0.0, le=0.1)
    allow_short: bool = False
    relative: bool = True
    validation_fraction: float = Field(default=0.2, ge=0.05, le=0.4)
    test_fraction: float = Field(default=0.2, ge=0.05, le=0.4)
    embargo: int = Field(default=5, ge=0, le=250)


AREA = Area(
    name="markets",
    extra="train",
    licence="Apache-2.0",
    suggestion=Suggestion(total_steps=20_000),
    module="mrq_core.tasks",
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("mrq/Trading-v0", (6,), one_of(3), 250, TradingKwargs, dataset_role="timeseries"),
]
