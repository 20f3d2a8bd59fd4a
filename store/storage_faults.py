"""What a disk says while something that was sent is stored, in the service's words."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.artifacts import NO_SPACE, require_space
from store.errors import SetupError, StorageFull

logger = logging.getLogger(__name__)

_NOT_ALLOWED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
CHECKPOINT = ("checkpoint", "training checkpoints are kept (MRQ_ARTIFACT_DIR)")
DATASET = ("dataset", "datasets are received and kept (MRQ_DATA_DIR, MRQ_ARTIFACT_DIR)")
Kind = tuple[str, str]


@contextmanager
def storage_told(kind: Kind) -> Iterator[None]:
    what, where = kind
    try:
        yield
    except OSError as error:
        logger.error("a %s cannot be stored: %s", what, error)
        if error.errno in NO_SPACE:
            text = f"There is no space for this {what}. Nothing was stored."
            raise StorageFull(text) from error
        if error.errno in _NOT_ALLOWED:
            text = f"This server may not write where {where}. Nothing was stored."
            raise SetupError(text) from error
        raise


def require_space_for(kind: Kind, folder: Path, size: int, reserve_bytes: int) -> None:
    with storage_told(kind):
        require_space(folder, 0, size + reserve_bytes)
