"""`python -m tests.hosts.uploading`: an upload that is on its way when the link is cut.

Ends with 0 when it was given up, as a bucket that does not answer is. What is sent is more than the
kernel takes at once, so it is the sending that would hang.
"""

import os
import sys
import tempfile
from pathlib import Path

import tests.hosts.impatient  # noqa: F401 (applies on import)
from store.errors import StorageUnreachable
from store.object_store import CHUNK_BYTES, ObjectStore

CONNECTED = Path("connected")  # in the host's folder


def main() -> int:
    objects = ObjectStore(os.environ["MRQ_ARTIFACTS_URL"])
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        small.write_bytes(b"small")
        large.write_bytes(bytes(CHUNK_BYTES - 1))  # in one request
        objects.put(small, "uploading/small")
        CONNECTED.touch()
        while True:  # until one meets the cut
            try:
                objects.put(large, "uploading/large")
            except StorageUnreachable:
                return 0


if __name__ == "__main__":
    sys.exit(main())
