"""The tables, typed. Alembic (folder `migrations`) is the only thing that creates or changes them.

All times are milliseconds since 1970 by the database's clock. Steps are agent steps.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from store.table_base import RowNumber
from store.table_base import Table as Table


class JobGroup(Table):
    """Jobs that differ in nothing but their seed: launched, steered and summed up as one."""

    __tablename__ = "job_groups"

    number: Mapped[int] = mapped_column(RowNumber, primary_key=True)  # order of submission
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    created_at: Mapped[int]


class Job(Table):
    """One row is the truth about one job; a Celery message is only a bell."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "status IN ('queued','running','paused','succeeded','failed','cancelled')",
            name="status",
        ),
        CheckConstraint("desired IN ('run','pause','cancel')", name="desired"),
        Index(
            "ix_jobs_claim",
            text("priority DESC"),
            "number",
            postgresql_where=text("status = 'queued'"),
            sqlite_where=text("status = 'queued'"),
        ),
        # With the number, so that a filtered list is read in its order.
        Index("ix_jobs_status_number", "status", "number"),
        Index("ix_jobs_environment_id_number", "environment_id", "number"),
        Index("ix_jobs_group_number", "group_number"),
        # Few jobs begin with another's, and these are looked for at each checkpoint.
        Index("ix_jobs_init_checkpoint_id", "init_checkpoint_id"),
    )

    number: Mapped[int] = mapped_column(RowNumber, primary_key=True)  # order of submission
    id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    labels: Mapped[dict[str, Any]]
    environment_id: Mapped[str]
    spec: Mapped[dict[str, Any]]  # resolved: every default filled in
    spec_sha256: Mapped[str]
    total_steps: Mapped[int]
    priority: Mapped[int] = mapped_column(Integer, default=0)
    cloned_from: Mapped[str | None]  # id of a job, which may be gone by now
    group_number: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("job_groups.number"))

    status: Mapped[str]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    # What the user wants while it runs; `status` is what is.
    desired: Mapped[str] = mapped_column(default="run", server_default=text("'run'"))
    grace_seconds: Mapped[float | None]  # of a cancellation

    # Ownership. The epoch is the fencing token: it only grows.
    epoch: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    not_before: Mapped[int] = mapped_column(default=0)
    dispatched_at: Mapped[int] = mapped_column(default=0)
    attempts_since_progress: Mapped[int] = mapped_column(Integer, default=0)
    infrastructure_failures: Mapped[int] = mapped_column(
        Integer, default=0, server_default=text("0")
    )
    error_failures: Mapped[int] = mapped_column(Integer, default=0, server_default=text("0"))
    # Attempts up to this one took their time before the user's last retry or extension.
    clock_after_attempt: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    step: Mapped[int] = mapped_column(default=0)
    steps_per_second: Mapped[float | None]
    progress_at: Mapped[int | None]
    latest_metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    resume_checkpoint_id: Mapped[str | None]
    # Another job's, with which this one begins; it is pinned (`store.pins`) and may be gone later.
    init_checkpoint_id: Mapped[str | None]
    best_checkpoint_id: Mapped[str | None]
    best_return: Mapped[float | None]
    weights_sha256: Mapped[str | None]

    created_at: Mapped[int]
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]
    expired_at: Mapped[int | None]  # when its training checkpoints were deleted
    deleted_at: Mapped[int | None]  # hidden since, and purged some days later


class Attempt(Table):
    """One try at a job. Its number is the epoch under which it wrote."""

    __tablename__ = "attempts"

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    worker: Mapped[str]
    host: Mapped[str]
    device: Mapped[str | None]  # null in rows of releases that did not store it, as the next one
    fidelity: Mapped[str | None]  # null until the trainer has started
    resumed_from: Mapped[str | None]
    start_step: Mapped[int]
    end_step: Mapped[int | None]
    peak_memory_bytes: Mapped[int | None]  # of the trainer process
    exit_code: Mapped[int | None] = mapped_column(Integer)  # negative: killed by that signal
    started_at: Mapped[int]
    finished_at: Mapped[int | None]


class Event(Table):
    """What happened to a job, append-only; `seq` counts per job and is the SSE message's id."""

    __tablename__ = "events"

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[int]


class MetricKey(Table):
    __tablename__ = "metric_keys"

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class MetricPoint(Table):
    """Integers only beside the value: 33 bytes a point, against 221 with text keys."""

    __tablename__ = "metric_points"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (SQLAlchemy's name for it)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"), primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("metric_keys.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[int]
    value: Mapped[float | None]  # null where flag is not 0: JSON has no NaN
    flag: Mapped[int] = mapped_column(SmallInteger, default=0)  # 0 finite, 1 NaN, 2 +inf, 3 -inf


class Checkpoint(Table):
    """`policy`: its bytes are in this row. `training`: a folder in the artifact store.

    A training checkpoint's row is committed after its folder is safely on disk: the row is the
    truth, a folder without a row is garbage.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (
        CheckConstraint("kind IN ('policy','training')", name="kind"),
        UniqueConstraint("job_number", "attempt", "step", "kind"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"))
    attempt: Mapped[int]
    step: Mapped[int]
    kind: Mapped[str]
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    format_version: Mapped[int] = mapped_column(Integer)
    manifest: Mapped[dict[str, Any]]  # policy: the bundle's JSON; training: its files and hashes
    folder: Mapped[str | None]  # training: relative to the artifact folder
    onnx: Mapped[bytes | None] = mapped_column(deferred=True)
    model_onnx: Mapped[bytes | None] = mapped_column(deferred=True)  # the learnt model, if any
    created_at: Mapped[int]


class Evaluation(Table):
    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("job_number", "attempt", "step"),
        # For ON DELETE SET NULL: without it each deleted checkpoint reads the whole table.
        Index("ix_evaluations_checkpoint_id", "checkpoint_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"))
    attempt: Mapped[int]
    step: Mapped[int]
    action_mode: Mapped[str]
    return_mean: Mapped[float]
    returns: Mapped[list[Any]]  # one per episode
    lengths: Mapped[list[Any]]
    seeds: Mapped[list[Any]]
    estimate: Mapped[dict[str, Any] | None]  # of a policy that was judged by a log, not played
    checkpoint_id: Mapped[str | None] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="SET NULL")
    )
    created_at: Mapped[int]


class PolicyName(Table):
    """The newest version that a name ever had: the number of a deleted one never returns."""

    __tablename__ = "policy_names"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer)


class Policy(Table):
    """A promoted checkpoint under a name and a version; immutable, and it pins its checkpoint."""

    __tablename__ = "policies"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        Index("ix_policies_checkpoint_id", "checkpoint_id"),  # for ON DELETE RESTRICT
        Index("ix_policies_job_number", "job_number"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int] = mapped_column(Integer)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id", ondelete="RESTRICT"))
    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"))
    created_at: Mapped[int]


class PolicyAlias(Table):
    """A word for one version of a name, which may come to mean another: `name@alias`."""

    __tablename__ = "policy_aliases"
    __table_args__ = (Index("ix_policy_aliases_policy_id", "policy_id"),)  # for ON DELETE RESTRICT

    name: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    policy_id: Mapped[str] = mapped_column(ForeignKey("policies.id", ondelete="RESTRICT"))
    moved_at: Mapped[int]


class PolicyAliasMove(Table):
    """What an alias meant before and after: kept when it, or a version, is deleted."""

    __tablename__ = "policy_alias_moves"
    __table_args__ = (Index("ix_policy_alias_moves_name_alias_number", "name", "alias", "number"),)

    number: Mapped[int] = mapped_column(RowNumber, primary_key=True)  # order of the moves
    name: Mapped[str]
    alias: Mapped[str]
    from_version: Mapped[int | None]  # none: it was made
    to_version: Mapped[int | None]  # none: it was deleted
    at: Mapped[int]


class PolicyTraffic(Table):
    """Which versions act for a bare name. Without routes: its newest one. The row stays then, so
    that a revision never comes back."""

    __tablename__ = "policy_traffic"

    name: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int]
    routes: Mapped[list[Any]]  # of {"version": 3, "weight": 0.9}
    shadow: Mapped[list[Any]]  # versions
    updated_at: Mapped[int]


class DatasetName(Table):
    """The newest version that a name ever had, as of policies."""

    __tablename__ = "dataset_names"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class Dataset(Table):
    """An uploaded file that was checked; immutable. The row is committed after the file is safe."""

    __tablename__ = "datasets"
    __table_args__ = (
        CheckConstraint("role IN ('timeseries','transitions')", name="role"),
        UniqueConstraint("name", "version"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int]
    role: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int]
    row_count: Mapped[int]
    columns: Mapped[dict[str, Any]]  # which of them is what
    report: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    looks: Mapped[int] = mapped_column(default=0)  # at its test rows, by backtests
    created_at: Mapped[int]


class JobDataset(Table):
    """A job pins the dataset that it trains on, until it is purged."""

    __tablename__ = "job_datasets"
    __table_args__ = (Index("ix_job_datasets_dataset_id", "dataset_id"),)  # for ON DELETE RESTRICT

    job_number: Mapped[int] = mapped_column(
        ForeignKey("jobs.number"), primary_key=True, autoincrement=False
    )
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="RESTRICT"))


class Backtest(Table):
    """What a policy would have earned on the rows that nobody had looked at. Immutable."""

    __tablename__ = "backtests"
    __table_args__ = (
        Index("ix_backtests_policy_id", "policy_id"),
        Index("ix_backtests_dataset_id", "dataset_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    policy_id: Mapped[str] = mapped_column(ForeignKey("policies.id", ondelete="CASCADE"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="RESTRICT"))
    look: Mapped[int]  # at the dataset's test rows: the first, the second...
    report: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    created_at: Mapped[int]


class LoggedAction(Table):
    """An action that a policy took and somebody had logged; and, once it is known, what came of it.

    It names its policy without needing it: what was done remains true when the policy is deleted.
    """

    __tablename__ = "logged_actions"
    __table_args__ = (UniqueConstraint("policy_name", "episode", "t"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    policy_id: Mapped[str]
    policy_name: Mapped[str]
    mode: Mapped[str]
    observation: Mapped[list[Any]]  # as the network saw it
    action: Mapped[list[Any]]  # in the environment's units, flat
    propensity: Mapped[float | None]  # that this action was taken; none of continuous ones
    episode: Mapped[str | None]
    t: Mapped[int | None]
    created_at: Mapped[int]
    reward: Mapped[float | None]
    terminated: Mapped[bool | None]
    truncated: Mapped[bool | None]
    feedback_at: Mapped[int | None]


class IdempotencyRecord(Table):
    __tablename__ = "idempotency"

    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number"))
    created_at: Mapped[int]
