"""`python -m tests.hosts.uploading`: an upload of more than the kernel takes at once, so that it is
the sending that hangs when the link is cut.

Ends with 0 when it was given up, as a bucket that does not answer is.
"""

import os
import sys
import tempfile
from pathlib import Path

import tests.hosts.impatient  # noqa: F401 (applies on import)
from store.errors import StorageUnreachable
from store.object_store import CHUNK_BYTES, ObjectStore


def main() -> int:
    with tempfile.NamedTemporaryFile() as large:
        large.truncate(CHUNK_BYTES - 1)  # in one request
        try:
            ObjectStore(os.environ["MRQ_ARTIFACTS_URL"]).put(Path(large.name), "large")
        except StorageUnreachable:
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
