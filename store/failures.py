"""Whose fault a failed attempt is, and whether another one can help."""

from collections.abc import Mapping
from enum import StrEnum

from store.states import Reason


class Fault(StrEnum):
    INFRASTRUCTURE = "infrastructure"  # may go away by itself: tried again
    ERROR = "error"  # the same spec would fail the same way again


class Retry(StrEnum):
    UNTIL_CRASH_LOOP = "until_crash_loop"
    ONCE = "once"  # memory that another process held may be free by then
    AFTER_A_WAIT = "after_a_wait"  # not charged: waiting for the storage is all that helps
    NEVER = "never"


RETRIES: Mapping[Reason, Retry] = {
    Reason.WORKER_LOST: Retry.UNTIL_CRASH_LOOP,
    Reason.TRAINER_DIED: Retry.UNTIL_CRASH_LOOP,
    Reason.NO_PROGRESS: Retry.UNTIL_CRASH_LOOP,  # or a disk or host that stood still
    Reason.STORAGE_ERROR: Retry.UNTIL_CRASH_LOOP,
    Reason.INTERNAL_ERROR: Retry.UNTIL_CRASH_LOOP,
    Reason.STORAGE_FULL: Retry.AFTER_A_WAIT,
    Reason.STORAGE_UNREACHABLE: Retry.AFTER_A_WAIT,
    Reason.HOST_OUT_OF_MEMORY: Retry.ONCE,
    Reason.GPU_OUT_OF_MEMORY: Retry.ONCE,
    Reason.NON_FINITE: Retry.NEVER,
    Reason.ENVIRONMENT_ERROR: Retry.NEVER,
    Reason.DATASET_ERROR: Retry.NEVER,
    Reason.CHECKPOINT_CORRUPT: Retry.NEVER,
    Reason.SPEC_INVALID: Retry.NEVER,
    Reason.SOURCE_GONE: Retry.NEVER,
    Reason.MAX_RUNTIME_EXCEEDED: Retry.NEVER,
}


def fault_of(reason: Reason) -> Fault:
    return Fault.ERROR if RETRIES[reason] is Retry.NEVER else Fault.INFRASTRUCTURE
