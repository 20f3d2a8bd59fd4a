"""What an upload becomes, for tests of its formats."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrq_core.csv_table import Limits
from mrq_core.unpacking.__main__ import unpacked

EPISODE_STEPS = 5
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


def add_episode(file: Any, number: int, **changes: Any) -> Any:
    """With the calls of Minari's own storage."""
    group = file.create_group(f"episode_{number}")
    group.attrs["id"], group.attrs["total_steps"] = number, EPISODE_STEPS
    ends = np.arange(EPISODE_STEPS) == EPISODE_STEPS - 1
    arrays = {
        "observations": np.arange(2.0 * (EPISODE_STEPS + 1)).reshape(EPISODE_STEPS + 1, 2)
        + 100 * number,
        "actions": np.arange(EPISODE_STEPS) % 3,
        "rewards": np.ones(EPISODE_STEPS),
        "terminations": ends & (number % 2 == 0),
        "truncations": ends & (number % 2 == 1),
    } | changes
    for name, array in arrays.items():
        if array is not None:
            group.create_dataset(name, data=array)
    group.create_group("infos").create_dataset("speed", data=np.zeros(EPISODE_STEPS + 1))
    return group


def minari(change: Callable[[Any], None] | None = None, episodes: int = 12) -> bytes:
    """`change`: what is done to the file at last."""
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        for number in range(episodes):
            add_episode(file, number)
        if change is not None:
            change(file)
        file.flush()
        content: bytes = file.id.get_file_image()
    return content
