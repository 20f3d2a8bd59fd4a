"""What an upload becomes, for tests of its formats."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrq_core.csv_table import Limits
from mrq_core.unpacking.__main__ import unpacked

# As arrays: 30 episodes of two steps, terminated after the second.
STEPS = {
    "observation": np.arange(120, dtype=np.float32).reshape(60, 2) / 10,
    "action": np.arange(60) % 3,
    "reward": np.linspace(-1, 1, 60),
    "terminated": np.arange(60) % 2 == 1,
}


def npz_of(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def lines_of(
    content: bytes,
    kind: str,
    folder: Path,
    mapped: Mapping[str, str] | None = None,
    dropped: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008  frozen
) -> list[list[str]]:
    """The CSV's rows, the header first. `TableRefused`"""
    source, target = folder / "came", folder / "made"
    source.write_bytes(content)
    order = {
        "format": kind, "source": str(source), "target": str(target), "mapped": mapped or {},
        "dropped": dropped, "limits": vars(limits),
    }  # fmt: skip
    unpacked(order)
    with target.open(newline="") as file:
        return list(csv.reader(file))
