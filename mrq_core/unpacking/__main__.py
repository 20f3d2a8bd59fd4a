"""`python -m mrq_core.unpacking`: reads one upload and writes it as CSV, in a process that may die.

Parquet and HDF5 are read by C libraries, and how much memory a file takes is only known once it is
taken. So the order comes as JSON on standard input, the memory is limited first, and what was
found is told as JSON on standard output: `left_out`, or `problems`, and whether it is `too_large`.
"""

from __future__ import annotations

import json
import resource
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from mrq_core.csv_table import Limits, Problem, TableRefused, TooLarge
from mrq_core.unpacking.table import write_csv

# Imported as they are needed: of the libraries, only that of the file.
_OPENERS = {"npz": "open_npz", "parquet": "open_parquet", "minari": "open_minari"}


def unpacked(order: dict[str, Any]) -> list[str]:
    """What was left out. `TableRefused`"""
    limits, path = Limits(**order["limits"]), Path(order["source"])
    kind = order["format"]
    opened = getattr(import_module(f"mrq_core.unpacking.{kind}"), _OPENERS[kind])
    try:
        table = opened(path, limits, order["mapped"], order["dropped"])
        write_csv(table, Path(order["target"]), limits)
    except TableRefused:
        raise
    except MemoryError as error:
        text = "Unpacking the file takes more memory than is allowed: send a smaller one."
        raise TooLarge(Problem(text=text)) from error
    except Exception as error:  # of three libraries, on files that may be made to break them
        traceback.print_exc()
        shown = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        text = f"The file is damaged or of another kind: {shown}"
        raise TableRefused(Problem(text=text)) from error
    return sorted(table.left_out)


def _limit(kind: int, most: int) -> None:
    """Never above what this process was given."""
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def main() -> None:
    order = json.load(sys.stdin)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, order["memory_bytes"])
    told: dict[str, Any]
    try:
        told = {"left_out": unpacked(order)}
    except TableRefused as error:
        problems = [asdict(problem) for problem in error.problems]
        told = {"problems": problems, "too_large": isinstance(error, TooLarge)}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
