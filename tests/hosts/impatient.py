"""`python -m tests.hosts.impatient MODULE ...`: MODULE's main, asking the bucket once, not three
times in a row. How long it waits for an answer, and what it does then, stay what they are.

Applied on import: Celery's pool child imports the main module of its parent again.
"""

import importlib
import sys

import store.object_store

store.object_store.TRIES = 1

if __name__ == "__main__":
    del sys.argv[0]
    sys.exit(importlib.import_module(sys.argv[0]).main())
