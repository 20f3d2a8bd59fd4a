"""`python -m benchmarks.reliability.sabotaged MODULE ...`: MODULE's main, with one defect in it.

The defect is applied on import: Celery's pool child imports the main module of its parent again.
"""

import importlib
import os
import sys

from benchmarks.reliability.sabotage import SABOTAGES
from benchmarks.reliability.service import SABOTAGE

SABOTAGES[os.environ[SABOTAGE]]()

if __name__ == "__main__":
    del sys.argv[0]
    sys.exit(importlib.import_module(sys.argv[0]).main())
