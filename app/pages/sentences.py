"""What happened, in sentences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.pages.curve import ends_of
from app.pages.formats import count, number, plural
from store.tables import Evaluation, Event

# Reason codes as the middle of a sentence.
REASONS: Mapping[str, str] = {
    "budget_exhausted": "the step budget is used up",
    "episodes_exhausted": "all episodes are done",
    "seconds_exhausted": "the time for training is used up",
    "target_reached": "an evaluation reached the target return",
    "imported": "it was imported",
    "cancelled_by_user": "cancelled on request",
    "paused_by_user": "it was paused on request",
    "resumed_by_user": "it was resumed on request",
    "retried_by_user": "it was retried on request",
    "extended_by_user": "its budget was extended",
    "max_runtime_exceeded": "it trained longer than it may",
    "worker_lost": "the worker was lost",
    "trainer_died": "the trainer process died",
    "crash_loop": "it kept crashing without getting further",
    "non_finite": "a value became NaN or infinite",
    "environment_error": "the environment raised an error",
    "dataset_error": "its dataset could not be read",
    "checkpoint_corrupt": "no checkpoint could be read",
    "storage_error": "the storage failed",
    "storage_full": "the storage is full",
    "storage_unreachable": "the object store did not answer",
    "host_out_of_memory": "the host ran out of memory",
    "gpu_out_of_memory": "the GPU ran out of memory",
    "spec_invalid": "the spec cannot be run",
    "source_gone": "the checkpoint that it was to begin with is gone",
    "internal_error": "an internal error",
    "drained": "its worker shut down",
    "no_progress": "the trainer stopped reporting progress",
}


# What was asked of a running job.
REQUESTS: Mapping[str, str] = {
    "cancel": "Cancellation requested.",
    "pause": "Pause requested.",
    "resume": "Pause withdrawn.",
}


def reason_text(reason: str | None) -> str:
    return REASONS.get(reason or "", reason or "no reason given")


def event_sentence(event: Event) -> str:
    tell = _TELLERS.get(event.type)
    return event.type.replace("_", " ").capitalize() + "." if tell is None else tell(event.data)


def _status(data: Mapping[str, Any]) -> str:
    status, reason = str(data.get("status")), data.get("reason")
    if status == "queued":
        return "Submitted." if reason is None else f"Back in the queue: {reason_text(reason)}."
    if status == "running":
        return f"Attempt {data.get('attempt')} taken by worker {data.get('worker')}."
    if status == "cancelled":
        return "Cancelled."
    if status == "paused":
        return "Paused."
    message = f" {data['message']}" if data.get("message") else ""
    return f"{status.capitalize()}: {reason_text(reason)}.{message}"


def _attempt(data: Mapping[str, Any]) -> str:
    step = count(int(data.get("start_step", 0)))
    if data.get("resumed_from") is None:
        return "Training started."
    if "job_id" in data:
        return f"Training began with {data['resumed_from']} of {data['job_id']}."
    return f"Training resumed from the checkpoint at step {step}."


def _evaluation(data: Mapping[str, Any]) -> str:
    best = " Best so far." if data.get("best") else ""
    number_of, mean = int(data["episodes"]), number(data["return_mean"])
    what = f"mean return {mean} over {plural(number_of, 'episode')}"
    if data.get("estimated"):
        what = f"estimated return {mean} by {plural(number_of, 'logged episode')}"
    return f"Evaluated at step {count(data['step'])}: {what}.{best}"


def _checkpoint(data: Mapping[str, Any]) -> str:
    return f"Training checkpoint saved at step {count(data['step'])}."


def _policy(data: Mapping[str, Any]) -> str:
    return f"Checkpoint promoted to {data['name']}:{data['version']}."


def _policy_deleted(data: Mapping[str, Any]) -> str:
    return f"Policy {data['name']}:{data['version']} deleted."


def _warning(data: Mapping[str, Any]) -> str:
    return f"Warning: {data.get('message', '')}"


def _extended(data: Mapping[str, Any]) -> str:
    ends = (f"{name} {'taken away' if v is None else number(v)}" for name, v in data.items())
    return f"Extended: {', '.join(ends)}."


def _revised(data: Mapping[str, Any]) -> str:
    return f"Changed: {', '.join(data)}."


def _request(data: Mapping[str, Any]) -> str:
    return REQUESTS[data["action"]]


_TELLERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "status": _status,
    "attempt": _attempt,
    "evaluation": _evaluation,
    "checkpoint": _checkpoint,
    "policy": _policy,
    "extended": _extended,
    "request": _request,
    "revised": _revised,
    "expired": lambda _: "Its training checkpoints were deleted after their time to live.",
    "deleted": lambda _: "Deleted.",
    "restored": lambda _: "Restored.",
    "policy_deleted": _policy_deleted,
    "warning": _warning,
}


def network_input(environment: Mapping[str, Any]) -> str:
    """Of a resolved spec; empty for one of a release that did not say."""
    fact, history = environment.get("observation"), environment.get("history", 1)
    if fact is None:
        return ""
    shape = " \N{MULTIPLICATION SIGN} ".join(map(str, fact["shape"]))
    kind = "pixels" if fact["kind"] == "pixels" else "a flat vector"
    frames = f", the latest {history} frames together" if history > 1 else ""
    return f"Observations reach the network as {kind}, {shape}{frames}."


# What an attempt began with.
FIDELITIES: Mapping[str | None, str] = {
    "none": "nothing",
    "exact": "everything",
    "state": "all that was learnt",
    "weights": "the weights of another job",
}


# Of what an evaluation does with the policy's output.
MODES: Mapping[str, str] = {
    "deterministic": "the policy's best action, without noise",
    "sample": "actions drawn from the policy",
}


def curve_summary(evaluations: Sequence[Evaluation], *, imported: bool = False) -> str:
    """The curve for those who do not see it."""
    if not evaluations:
        return "No evaluation was imported." if imported else "No evaluation yet."
    last = evaluations[-1]
    best = max(evaluations, key=lambda e: (e.return_mean, e.step))
    low, high = map(number, ends_of(last))
    what = f"mean return {number(last.return_mean)} over {plural(len(last.returns), 'episode')}"
    if last.estimate is not None:
        judges = plural(last.estimate["episodes"], "logged episode")
        what = f"estimated discounted return {number(last.return_mean)} by {judges}"
    text = (
        f"{plural(len(evaluations), 'evaluation')}. The latest, at step {count(last.step)}: {what} "
        f"({low} to {high})."
    )
    if len(evaluations) > 1:
        first = evaluations[0]
        text += (
            f" Best: {number(best.return_mean)} at step {count(best.step)}."
            f" The first, at step {count(first.step)}: {number(first.return_mean)}."
        )
    return text
