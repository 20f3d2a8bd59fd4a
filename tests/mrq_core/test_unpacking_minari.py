"""`main_data.hdf5` as Minari writes it, and files that would lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mrq_core.csv_table import Limits, TableRefused, TooLarge
from tests.mrq_core.unpacking_of import EPISODE_STEPS as STEPS
from tests.mrq_core.unpacking_of import add_episode, lines_of, minari


def test_an_episode_is_its_steps_and_what_was_seen_at_its_end(tmp_path: Path) -> None:
    lines = lines_of(minari(), "minari", tmp_path)
    assert lines[:3] == [
        ["episode", "observation_0", "observation_1", "action", "reward", "terminated",
         "truncated"],
        ["0", "0.0", "1.0", "0", "1.0", "0", "0"],
        ["0", "2.0", "3.0", "1", "1.0", "0", "0"],
    ]  # fmt: skip
    assert lines[STEPS] == ["0", "8.0", "9.0", "1", "1.0", "1", "0"]
    assert lines[STEPS + 1] == ["0", "10.0", "11.0", "", "", "", ""]
    assert lines[STEPS + 2][:2] == ["1", "100.0"]
    assert len(lines) == 1 + 12 * (STEPS + 1)
    assert [line[0] for line in lines[-6:]] == ["11"] * 6, "by their number, not as text"


def test_packed_data_are_read(tmp_path: Path) -> None:
    def pack(file: Any) -> None:
        for name in ("observations", "rewards"):
            data = file["episode_3"][name][()]
            del file["episode_3"][name]
            file["episode_3"].create_dataset(
                name, data=data, compression="gzip", shuffle=True, fletcher32=True
            )

    assert lines_of(minari(pack), "minari", tmp_path) == lines_of(minari(), "minari", tmp_path)


def replaced(name: str, **options: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[f"episode_3/{name}"]
        file.create_dataset(f"episode_3/{name}", **options)

    return change


def nested(file: Any) -> None:
    del file["episode_3/observations"]
    file.create_dataset("episode_3/observations/goal", data=np.zeros(STEPS + 1))


def linked(link: Any, at: str = "episode_3/rewards") -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[at]
        file[at] = link

    return change


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((STEPS,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "rewards", (STEPS,))
    del file["episode_3/rewards"]
    file.create_virtual_dataset("episode_3/rewards", layout)


def external(file: Any) -> None:
    """Raw bytes of another file of the host as numbers: the way to read any of them."""
    del file["episode_3/rewards"]
    file.create_dataset("episode_3/rewards", (STEPS,), "u1", external=[("/etc/passwd", 0, STEPS)])


def flat(file: Any) -> None:
    del file["episode_3"]
    file.create_dataset("episode_3", data=1.0)


BAD: dict[str, tuple[Callable[[Any], None], str]] = {
    "an external link": (linked(h5py.ExternalLink("/etc/passwd", "/x")), "is a link to elsewhere"),
    "a soft link": (linked(h5py.SoftLink("/episode_2/rewards")), "is a link to elsewhere"),
    "a linked episode": (
        linked(h5py.ExternalLink("other.hdf5", "/episode_3"), "episode_3"), "is a link to elsewhe",
    ),
    "virtual": (virtual, "episode_3/rewards has its data in other files"),
    "external": (external, "episode_3/rewards has its data in other files"),
    "nested": (nested, "episode_3/observations is nested, of a space of the kind Dict"),
    "images": (
        replaced("observations", data=np.zeros((STEPS + 1, 4, 4))),
        r"observations has the shape \(6, 4, 4\)",
    ),
    "objects": (
        replaced("rewards", shape=(STEPS,), dtype=h5py.string_dtype()),
        "episode_3/rewards holds Python objects",
    ),
    "missing": (lambda file: file["episode_3"].pop("truncations"), "truncations is not in the fi"),
    "too few": (
        replaced("observations", data=np.zeros((STEPS, 2))),
        "observations: 5, actions: 5, rewards: 5",
    ),
    "no step": (
        lambda file: add_episode(
            file, 12, observations=np.zeros((1, 2)),
            **dict.fromkeys(("actions", "rewards", "terminations", "truncations"), np.zeros(0)),
        ),
        "episode_12 has .*actions: 0.*which have at least one",
    ),
    "other widths": (
        replaced("observations", data=np.zeros((STEPS + 1, 3))),
        r"episode_3 has observations\(3,\).*those before observations\(2,\)",
    ),
    "a scalar": (replaced("rewards", data=1.0), "rewards: 0"),
    "an unknown filter": (
        replaced("rewards", shape=(STEPS,), dtype="f8", chunks=(STEPS,), scaleoffset=2),
        "packed by HDF5 filter 6",
    ),
    "an array for an episode": (
        flat,
        "episode_3 is no group",
    ),
    "no episode": (lambda file: file.clear(), "has no group episode_0"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), BAD.values(), ids=BAD)
def test_what_is_no_episode_is_refused(
    change: Callable[[Any], None], told: str, tmp_path: Path
) -> None:
    with pytest.raises(TableRefused, match=told):
        lines_of(minari(change), "minari", tmp_path)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"rows": 71}, "more than 71 rows"),
        ({"columns": 6}, "7 columns; allowed: 6"),
        ({"cells": 503}, "more than 503 cells"),
        ({"unpacked_bytes": 2_000}, "unpacks to"),
    ],
)
def test_limits_are_of_all_episodes(limits: dict[str, int], told: str, tmp_path: Path) -> None:
    content = minari()
    with pytest.raises(TooLarge, match=told):
        lines_of(content, "minari", tmp_path, limits=Limits(**limits))


def test_a_shape_without_data_costs_nothing(tmp_path: Path) -> None:
    """A few bytes of the file that are 80 GB of zeros."""
    bomb = replaced("observations", shape=(STEPS + 1, 10**9), dtype="f8")
    with pytest.raises(TooLarge, match="columns; allowed"):
        lines_of(minari(bomb), "minari", tmp_path)


def test_another_or_a_spoilt_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match="no HDF5 file"):
        lines_of(b"episode,x\n", "minari", tmp_path)
    with pytest.raises(TableRefused, match="damaged"):
        lines_of(minari()[:3_000], "minari", tmp_path)
