"""What the server itself refuses, before the store is asked."""

from store.errors import DomainError


class MalformedBody(DomainError):
    code = "malformed_body"


class NonFiniteNumber(MalformedBody):
    """NaN, Infinity, or a number too large for a float: JSON knows none of them."""

    code = "number_not_finite"


class BodyTooLarge(DomainError):
    code = "payload_too_large"


class UnsupportedMediaType(DomainError):
    code = "unsupported_media_type"


class Unauthorized(DomainError):
    code = "unauthorized"


class CrossSiteRequest(DomainError):
    code = "cross_site_request"


class ActRefused(DomainError):
    """An observation or a mode that this policy cannot take; `code` says which."""

    def __init__(self, code: str, message: str, *, param: str, **details: object) -> None:
        super().__init__(message, param=param, **details)
        self.code = code


class QueueFull(DomainError):
    code = "queue_full"


class SequenceGap(DomainError):
    """A step that does not follow the last one; `expected_t` would."""

    code = "sequence_gap"


class SessionExpired(DomainError):
    """Unknown, ended or idle for too long."""

    code = "session_expired"


class SessionElsewhere(DomainError):
    """Held by another server process; `owner` names it."""

    code = "session_elsewhere"


class SessionOfAnotherPolicy(DomainError):
    code = "session_of_another_policy"


class TooManySessions(DomainError):
    code = "too_many_sessions"


class TooManyStreams(DomainError):
    code = "too_many_streams"


class TooManyImports(DomainError):
    code = "too_many_imports"


class DeadlineExceeded(DomainError):
    code = "deadline_exceeded"


class PolicyBroken(DomainError):
    """The loaded policy does not act as the trained one did."""

    code = "policy_failed_golden_check"

    def __init__(self, message: str, *, param: str, why: str = "") -> None:
        """`why` is what the message says beside which policy it is."""
        super().__init__(message, param=param)
        self.why = why
