"""What to do about a failed job, by the reason code."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.pages.sentences import reason_text


@dataclass(frozen=True, kw_only=True)
class Failure:
    cause: str
    advice: str


ADVICE: Mapping[str, str] = {
    "non_finite": (
        "Lower the learning rates (encoder_lr, value_lr, policy_lr) or check the environment's "
        "rewards for extreme values, then submit the job again."
    ),
    "environment_error": (
        "The message above comes from the environment. Check environment.kwargs, and that the "
        "environment's packages are installed on the worker's host."
    ),
    "crash_loop": (
        "Look at the attempts below: the exit code and message of each say what ended it. "
        "Exit code -9 is usually too little memory: make buffer_size or the networks smaller."
    ),
    "worker_lost": (
        "Check that a worker is running and reaches the database, then submit the job again."
    ),
    "trainer_died": (
        "A negative exit code is a signal; -9 is usually too little memory: make buffer_size or "
        "the networks smaller. The trainer's log is in logs/jobs of the worker's data folder."
    ),
    "dataset_error": (
        "Check the disk that holds the artifacts, and whether the worker sees the server's. If the "
        "file is lost, upload it once more under its name, which puts it back, and submit the job "
        "again."
    ),
    "checkpoint_corrupt": (
        "Check the disk that holds the artifacts. The evaluated policies below are in the "
        "database and can still be promoted. A checkpoint in another release's format cannot be "
        "continued: submit the job again, and it begins anew."
    ),
    "storage_error": "Check that the artifact folder is writable and has space left.",
    "host_out_of_memory": (
        "Make buffer_size, batch_size or the networks smaller, or give the worker more memory. "
        "MRQ_JOB_MEMORY_BYTES refuses such jobs before they start."
    ),
    "gpu_out_of_memory": (
        "Another process may hold the GPU's memory. If not, make batch_size or the networks "
        "smaller."
    ),
    "spec_invalid": "Correct the spec as the message says and submit it as a new job.",
    "source_gone": (
        "Clone the job with another init_from, or with init_from null to begin with nothing. If "
        "its files are damaged, see to the disk and retry it."
    ),
    "max_runtime_exceeded": (
        "Retry it: it goes on from its last checkpoint, and its time is counted anew. Or clone it "
        "with a larger limits.max_runtime_seconds."
    ),
    "no_progress": (
        "The environment probably hangs. Try it by itself, or raise MRQ_NO_PROGRESS_SECONDS if "
        "its steps are that slow."
    ),
}
OTHERWISE = "Look at the trainer's log, in logs/jobs of the worker's data folder."


def failure_of(reason: str | None) -> Failure:
    text = reason_text(reason)
    return Failure(cause=text[0].upper() + text[1:], advice=ADVICE.get(reason or "", OTHERWISE))
