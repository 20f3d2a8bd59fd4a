"""What the answers look like: the types of `app.views`, and what OpenAPI says of them."""

from typing import Any, Generic, Literal, TypeVar

from typing_extensions import TypedDict

# JSON has no NaN and no infinity: such a value comes as "NaN", "Infinity" or "-Infinity".
Number = float | str
Time = str  # RFC 3339, UTC, milliseconds

T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    data: list[T]
    has_more: bool
    next_cursor: str | None


class EstimateView(TypedDict):
    parameters: int
    memory_bytes: int


class DryRunView(TypedDict):
    """`spec` and `estimate` are of one job, with `seeds` of the first."""

    spec: dict[str, Any]
    estimate: EstimateView
    jobs: int


class ProgressView(TypedDict):
    step: int
    total_steps: int
    fraction: float
    steps_per_second: float | None
    eta_seconds: float | None
    updated_at: Time | None


class BestView(TypedDict):
    checkpoint_id: str
    return_mean: Number | None


class PolicyReference(TypedDict):
    id: str
    name: str
    version: int


class JobLinks(TypedDict):
    self: str
    cancel: str
    pause: str
    resume: str
    retry: str
    extend: str
    clone: str
    restore: str
    events: str
    metrics: str
    evaluations: str
    checkpoints: str
    attempts: str
    page: str
    act: str | None


class FailureCounts(TypedDict):
    """Failed attempts by whose fault they were."""

    infrastructure: int
    error: int


class JudgedSpec(TypedDict):
    estimate: EstimateView | None
    warnings: list[str]


class JobView(JudgedSpec):
    id: str
    name: str
    labels: dict[str, str]
    status: str
    status_reason: str | None
    status_message: str | None
    phase: str
    actions: list[str]
    cloned_from: str | None
    group_id: str | None
    priority: int
    spec: dict[str, Any]
    progress: ProgressView
    attempt: int
    failures: FailureCounts
    queue_position: int | None
    best: BestView | None
    latest_metrics: dict[str, Any]
    policy: PolicyReference | None
    weights_sha256: str | None
    created_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    deleted_at: Time | None
    links: JobLinks


class MemberView(TypedDict):
    """A job of a group."""

    id: str
    seed: int
    name: str
    status: str
    status_reason: str | None
    phase: str
    progress: ProgressView
    best: BestView | None
    policy: PolicyReference | None


class GroupLinks(TypedDict):
    self: str
    summary: str
    cancel: str
    pause: str
    resume: str
    retry: str
    extend: str
    page: str


class GroupBrief(TypedDict):
    """`status`: the first that one of the jobs has, of running, queued, paused, failed, cancelled
    and succeeded. `jobs_by_status`: how many have which."""

    id: str
    name: str
    status: str
    jobs_by_status: dict[str, int]
    created_at: Time | None
    links: GroupLinks


class GroupView(GroupBrief):
    """`spec` is what all jobs have in common. `fraction`: of all their steps."""

    spec: dict[str, Any]
    seeds: list[int]
    fraction: float
    actions: list[str]
    jobs: list[MemberView]


class EstimatedView(TypedDict):
    value: Number
    low: Number | None
    high: Number | None


class AggregateView(TypedDict):
    n: int
    iqm: EstimatedView
    mean: EstimatedView
    median: EstimatedView
    least: Number
    most: Number


class CurvePointView(TypedDict):
    step: int
    n: int
    iqm: EstimatedView


class SummaryView(TypedDict):
    """Of the jobs that succeeded: `last`, the mean return of each one's last evaluation; `best`, of
    its best one, which chance flatters. `missing`: the other jobs by status. `curve`: of whoever
    was evaluated after that step, `n` jobs. Intervals: percentile bootstrap over the jobs."""

    group_id: str
    last: AggregateView | None
    best: AggregateView | None
    missing: dict[str, int]
    curve: list[CurvePointView]
    confidence: float
    resamples: int


class ActedView(TypedDict):
    """`outcome`: done or refused; then `code` and `detail` say why."""

    job_id: str
    outcome: Literal["done", "refused"]
    phase: str | None
    code: str | None
    detail: str | None


class BatchView(TypedDict):
    """`has_more`: the filter matches more jobs than one call changes."""

    data: list[ActedView]
    done: int
    refused: int
    has_more: bool


class AttemptView(TypedDict):
    number: int
    status: str
    reason: str | None
    message: str | None
    worker: str
    host: str
    device: str | None
    fidelity: str | None
    resumed_from: str | None
    start_step: int
    end_step: int | None
    fault: str | None
    exit_code: int | None
    peak_memory_bytes: int | None
    started_at: Time | None
    finished_at: Time | None


class EventView(TypedDict):
    seq: int
    type: str
    attempt: int
    data: dict[str, Any]
    at: Time | None


class LiveView(TypedDict):
    """A `progress` message of the event stream."""

    status: str
    status_reason: str | None
    phase: str
    progress: ProgressView
    latest_metrics: dict[str, Any]
    queue_position: int | None


class SeriesView(TypedDict):
    key: str
    points: list[tuple[int, Number]]


class MetricsView(TypedDict):
    job_id: str
    keys: list[str]
    series: list[SeriesView]


class OffPolicyInterval(TypedDict):
    value: Number
    low: Number
    high: Number


class EstimateByLog(TypedDict):
    """Discounted returns of an episode. `fitted`: of the policy, by fitted Q evaluation;
    `lead`: over whoever was logged, by the same fit, null where it is nowhere known what was done
    next; `weighted`: by importance weights, null without propensities or where no episode agrees;
    `logged`: what the log gained."""

    confidence: float
    discount: float
    episodes: int
    fitted: OffPolicyInterval
    logged: OffPolicyInterval
    lead: OffPolicyInterval | None
    weighted: OffPolicyInterval | None
    effective_episodes: float | None


class EvaluationView(TypedDict):
    """`estimate`: of a policy that was judged by a log; its return is `fitted.value`."""

    id: str
    step: int
    attempt: int
    action_mode: str
    return_mean: Number
    return_std: Number
    return_min: Number
    return_max: Number
    returns: list[Number]
    lengths: list[int]
    seeds: list[int]
    estimate: EstimateByLog | None
    checkpoint_id: str | None
    best: bool
    created_at: Time | None


class CheckpointLinks(TypedDict):
    files: str


class CheckpointView(TypedDict):
    id: str
    kind: Literal["policy", "training"]
    step: int
    attempt: int
    size_bytes: int
    sha256: str
    format_version: int
    created_at: Time | None
    best: bool
    return_mean: Number | None
    links: CheckpointLinks


class PolicyEvaluation(TypedDict):
    """With an `estimate`, of a policy that a log has judged: `return_mean` is its value, `episodes`
    are those of the log, and they have no spread of their own."""

    return_mean: Number
    return_std: Number | None
    episodes: int
    action_mode: str
    estimate: EstimateByLog | None


class FileView(TypedDict):
    name: str
    size_bytes: int | None  # null in checkpoints of releases that did not store it
    sha256: str


class PolicyLinks(TypedDict):
    self: str
    act: str
    job: str


class PolicyView(TypedDict):
    id: str
    name: str
    version: int
    checkpoint_id: str
    job_id: str
    environment_id: str
    observation_space: dict[str, Any]
    history: int
    send: str
    action_space: dict[str, Any]
    action_mask_size: int | None
    action_modes: list[str]
    step: int
    evaluation: PolicyEvaluation | None
    sha256: str
    created_at: Time | None
    links: PolicyLinks


class HealthView(TypedDict):
    status: Literal["ok"]


class ReadyView(TypedDict):
    status: Literal["ok"]
    database: Literal["ok"]
    jobs: dict[str, int]
    policies_loaded: int
