"""The trainer of a sabotaged worker."""

import sys

import benchmarks.reliability.sabotaged  # noqa: F401 (applies the defect)
from worker.trainer import main

if __name__ == "__main__":
    sys.exit(main())
