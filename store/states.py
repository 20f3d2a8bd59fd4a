"""The states of a job and of an attempt, and the stable codes that say why."""

from enum import StrEnum


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"  # in the schema from the first migration; nothing enters it yet
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class AttemptStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # died or was cut off; the job went back to the queue or failed
    RELEASED = "released"  # handed back on shutdown, not charged


class Reason(StrEnum):
    BUDGET_EXHAUSTED = "budget_exhausted"
    CANCELLED_BY_USER = "cancelled_by_user"
    WORKER_LOST = "worker_lost"
    TRAINER_DIED = "trainer_died"
    CRASH_LOOP = "crash_loop"
    NON_FINITE = "non_finite"
    ENVIRONMENT_ERROR = "environment_error"
    CHECKPOINT_CORRUPT = "checkpoint_corrupt"
    STORAGE_ERROR = "storage_error"
    SPEC_INVALID = "spec_invalid"
    INTERNAL_ERROR = "internal_error"
    DRAINED = "drained"
    NO_PROGRESS = "no_progress"


class CheckpointKind(StrEnum):
    POLICY = "policy"
    TRAINING = "training"
