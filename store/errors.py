"""What can go wrong, in the service's own words. `app.errors` alone decides on HTTP status codes.

DomainError
├── InvalidInput          a value the user can change: names the field, the value, what is allowed
│   ├── EstimateTooLarge
│   ├── InvalidCheckpoint a file of one that is to be imported
│   ├── InvalidPolicy     likewise
│   ├── EnvironmentNotInstalled
│   ├── AlgorithmNotInstalled
│   ├── DatasetRefused
│   ├── FormatNotInstalled
│   └── IdempotencyKeyReused
├── NotFound
├── TransitionRefused     the job is not in a state that allows this
├── NotReady              right request, too early
├── NotEvaluated          nothing is known of what it is worth
├── SequenceTaken         an episode has an action at this place
├── FeedbackRefused       an action has other feedback, or its time is over
├── Pinned                something else still needs it
├── AliasMoved            it does not mean what the request expected
├── TrafficMoved          it was changed since
├── DatasetTooLarge
├── FileGone              a row names it, and it is not there
├── StorageUnreachable    nothing is known of what the object store holds
├── StorageFull           no space for what a request brings
└── SetupError            the operator's problem: data folder, schema, port
Fenced                    an attempt has lost its job; never shown to a user
"""

from typing import Any


class DomainError(Exception):
    """Has a stable `code` for programs and a message for people."""

    code = "error"

    def __init__(self, message: str, *, param: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.details = details


class InvalidInput(DomainError):
    code = "invalid_input"


class EstimateTooLarge(InvalidInput):
    code = "estimate_too_large"


class InvalidCheckpoint(InvalidInput):
    """`param` is the file; `tensor`, where it is about one, `value` and `allowed` are details."""

    code = "invalid_checkpoint"


class InvalidPolicy(InvalidInput):
    """`param` is the file; `field`, `value` and `allowed`, where there are any, are details."""

    code = "invalid_policy"


class EnvironmentNotInstalled(InvalidInput):
    code = "environment_not_installed"


class AlgorithmNotInstalled(InvalidInput):
    code = "algorithm_not_installed"


class IdempotencyKeyReused(InvalidInput):
    code = "idempotency_key_reused"


class DatasetRefused(InvalidInput):
    """The file says something that cannot be trained on; `problems` say where."""

    code = "dataset_refused"


class FormatNotInstalled(InvalidInput):
    code = "format_not_installed"


class DatasetTooLarge(DomainError):
    code = "dataset_too_large"


class NotFound(DomainError):
    def __init__(self, kind: str, reference: str, *, param: str | None = None) -> None:
        super().__init__(f"No {kind} {reference!r} here.", param=param or f"{kind}_id")
        self.code = f"{kind}_not_found"


class TransitionRefused(DomainError):
    code = "transition_refused"


class SequenceTaken(DomainError):
    code = "sequence_taken"


class FeedbackRefused(DomainError):
    """`code` says why it is not joined with its action."""

    def __init__(self, code: str, message: str, *, param: str) -> None:
        super().__init__(message, param=param)
        self.code = code


class Pinned(DomainError):
    code = "pinned"


class AliasMoved(DomainError):
    """`current_version` is what it means now; None if there is no such alias."""

    code = "alias_moved"


class TrafficMoved(DomainError):
    """`current_revision`: None if a name has no traffic settings."""

    code = "traffic_moved"


class NotReady(DomainError):
    code = "not_ready"


class NotEvaluated(DomainError):
    code = "not_evaluated"


class FileGone(DomainError):
    code = "file_gone"


class StorageUnreachable(DomainError):
    """It does not answer, or not to us. `why` is for the operator, and may name hosts."""

    code = "storage_unreachable"

    def __init__(self, why: str) -> None:
        super().__init__("The object store does not answer. Nothing was changed; try again.")
        self.why = why


class StorageFull(DomainError):
    code = "storage_full"


class SetupError(DomainError):
    code = "setup_error"


class SchemaTooNew(SetupError):
    code = "schema_too_new"


class Fenced(Exception):
    """The job's row no longer belongs to this epoch: stop the trainer and write nothing more."""
