"""What the answers about datasets and backtests look like: see `app.schemas`."""

from typing import NotRequired

from typing_extensions import TypedDict

from app.schemas import Time


class DatasetColumns(TypedDict):
    """`roles`: which column is what; `features`: the further ones. Of transitions: how many
    `episodes`, and `choices` of action, 0 where those are real numbers."""

    roles: dict[str, str]
    features: list[str]
    choices: NotRequired[int]
    episodes: NotRequired[int]


class DatasetLinks(TypedDict):
    self: str
    preview: str
    validation: str


class DatasetView(TypedDict):
    id: str
    name: str
    version: int
    role: str
    sha256: str
    size_bytes: int
    rows: int
    columns: DatasetColumns
    job_count: int
    created_at: Time | None
    links: DatasetLinks


class SourceView(TypedDict):
    """The upload as it came: the table that was made of it is what is kept."""

    format: str
    sha256: str
    size_bytes: int


class DatasetDetail(DatasetView):
    """`used_by`: the newest jobs that pin it. `source`: null of a CSV, which is kept as it came."""

    source: SourceView | None
    used_by: list[str]
    warnings: list[str]


class PreviewView(TypedDict):
    """The first rows, each cell as it stands in the file."""

    columns: list[str]
    rows: list[list[str]]


class HistogramView(TypedDict):
    counts: list[int]
    edges: list[float]


class ColumnView(TypedDict):
    name: str
    role: str
    type: str
    missing: int
    minimum: float
    maximum: float
    mean: float
    std: float
    median: float
    distinct: int
    constant: bool
    histogram: HistogramView


class GapView(TypedDict):
    after: Time
    seconds: float


class TimeView(TypedDict):
    column: str
    first: Time
    last: Time
    usual_step_seconds: float
    gap_count: int
    gaps: list[GapView]


class AheadView(TypedDict):
    """What a column goes with most of all that comes later, by rank correlation; `known`: the
    largest with anything that is known on its row."""

    column: str
    of: str
    rows_ahead: int
    correlation: float
    known: float
    suspect: bool


class EpisodesView(TypedDict):
    count: int
    transitions: int
    shortest: int
    longest: int
    terminated: int
    truncated: int
    mean_return: float


class ActionsView(TypedDict):
    """`counts`: how often each choice was made."""

    kind: str
    choices: int | None
    counts: list[int] | None


class ValidationView(TypedDict):
    """`time` and `lookahead` are of a timeseries, `episodes` and `actions` of transitions."""

    rows: int
    source: NotRequired[SourceView]
    columns: list[ColumnView]
    time: NotRequired[TimeView]
    lookahead: NotRequired[list[AheadView]]
    episodes: NotRequired[EpisodesView]
    actions: NotRequired[ActionsView]
    warnings: list[str]


class StrategyView(TypedDict):
    """`name`: policy, buy_and_hold, flat or random, of which it is the middle run. `equity`: at
    `times` of the report, beginning with 1. `turnover`: traded values in units of the equity.
    `hit_rate`: of the rows in which something was held, those that gained."""

    name: str
    total_return: float
    sharpe: float | None
    max_drawdown: float
    turnover: float
    trades: int
    hit_rate: float | None
    exposure: float
    equity: list[float]


class IntervalView(TypedDict):
    low: float
    high: float


class IntervalsView(TypedDict):
    """Of the policy; `lead`: over buy-and-hold."""

    total_return: IntervalView
    sharpe: IntervalView | None
    lead: IntervalView


class BacktestReport(TypedDict):
    """`lead`: of the policy over buy-and-hold, in logarithms of the equity. `random_beaten`: the
    share of random runs that earned less. Intervals: percentiles of a circular block bootstrap."""

    rows: int
    first: Time
    last: Time
    strategies: list[StrategyView]
    times: list[Time]
    confidence: float
    block_rows: int
    intervals: IntervalsView
    lead: float
    random_runs: int
    random_beaten: float
    promise: str


class BacktestLinks(TypedDict):
    self: str
    policy: str
    dataset: str
    page: str


class BacktestView(TypedDict):
    """`look`: how many backtests on this dataset there were by then, this one included."""

    id: str
    policy_id: str
    dataset_id: str
    look: int
    created_at: Time | None
    report: BacktestReport
    links: BacktestLinks
