"""How large a body may be, by path."""

from collections.abc import Callable

from app.body_limit import Limit
from app.inference.infer import is_infer
from app.routes import datasets, imports, policy_import
from app.serving.door import is_act
from store.settings import Settings


def usual_limit(settings: Settings) -> Limit:
    return Limit(allowed_bytes=settings.max_body_bytes, setting="MRQ_MAX_BODY_BYTES")


def array_limit(settings: Settings) -> Limit:
    """Of observations as bytes."""
    return Limit(allowed_bytes=settings.max_act_bytes, setting="MRQ_MAX_ACT_BYTES")


def body_limits(settings: Settings) -> Callable[[str], Limit]:
    usual = usual_limit(settings)
    of_import = Limit(allowed_bytes=settings.max_import_bytes, setting="MRQ_MAX_IMPORT_BYTES")
    of_dataset = Limit(allowed_bytes=settings.max_dataset_bytes, setting="MRQ_MAX_DATASET_BYTES")
    of_policy = Limit(allowed_bytes=settings.max_policy_bytes, setting="MRQ_MAX_POLICY_BYTES")
    others = {
        imports.PATH: of_import,
        policy_import.PATH: of_policy,
        datasets.PATH: of_dataset,
    }
    # The larger one: which of the two it is, says the body's form.
    of_act = max(usual, array_limit(settings), key=lambda limit: limit.allowed_bytes)

    def limit_of(path: str) -> Limit:
        return of_act if is_act(path) or is_infer(path) else others.get(path, usual)

    return limit_of
