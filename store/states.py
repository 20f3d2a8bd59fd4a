"""The states of a job and of an attempt, and the stable codes that say why."""

from enum import StrEnum


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class Desired(StrEnum):
    """What the user wants of a job that an attempt owns; the status says what is."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class AttemptStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # died or was cut off; the job went back to the queue, was paused or failed
    RELEASED = "released"  # handed back on shutdown, not charged
    PAUSED = "paused"  # stopped on request, not charged


class Reason(StrEnum):
    BUDGET_EXHAUSTED = "budget_exhausted"
    EPISODES_EXHAUSTED = "episodes_exhausted"
    SECONDS_EXHAUSTED = "seconds_exhausted"
    TARGET_REACHED = "target_reached"
    IMPORTED = "imported"
    CANCELLED_BY_USER = "cancelled_by_user"
    PAUSED_BY_USER = "paused_by_user"
    RESUMED_BY_USER = "resumed_by_user"
    RETRIED_BY_USER = "retried_by_user"
    EXTENDED_BY_USER = "extended_by_user"
    MAX_RUNTIME_EXCEEDED = "max_runtime_exceeded"
    WORKER_LOST = "worker_lost"
    TRAINER_DIED = "trainer_died"
    CRASH_LOOP = "crash_loop"
    NON_FINITE = "non_finite"
    ENVIRONMENT_ERROR = "environment_error"
    DATASET_ERROR = "dataset_error"
    CHECKPOINT_CORRUPT = "checkpoint_corrupt"
    STORAGE_ERROR = "storage_error"
    STORAGE_FULL = "storage_full"
    STORAGE_UNREACHABLE = "storage_unreachable"
    HOST_OUT_OF_MEMORY = "host_out_of_memory"
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    SPEC_INVALID = "spec_invalid"
    SOURCE_GONE = "source_gone"
    INTERNAL_ERROR = "internal_error"
    DRAINED = "drained"
    NO_PROGRESS = "no_progress"


class Fidelity(StrEnum):
    """What an attempt began with, of its own job or of another (`init_from`)."""

    NONE = "none"  # nothing: from the first step
    EXACT = "exact"  # everything, the environment's place included
    STATE = "state"  # all that was learnt; the episode under way was cut off, or noise drawn anew
    WEIGHTS = "weights"  # the networks alone, of another job


class CheckpointKind(StrEnum):
    POLICY = "policy"
    TRAINING = "training"
