"""`main_data.hdf5` of a Minari dataset, read with h5py alone.

For each episode there is a group, as Minari 0.5 writes it: https://minari.farama.org
  /episode_N/observations (T + 1) or (T + 1, k), actions (T) or (T, k),
             rewards, terminations, truncations (T)
A file of another process is read, so nothing in it may lead out of it: links and data in other
files are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mrq_core.csv_table import Limits, refused, require_size
from mrq_core.logged.columns import EPISODE
from mrq_core.unpacking.table import (
    Array,
    Row,
    Table,
    cells_of,
    columns_of,
    require_beginning,
    require_plain,
    usual,
    width_of,
)

OBSERVATIONS = "observations"
_PER_STEP = ("actions", "rewards", "terminations", "truncations")
_EPISODE = re.compile(r"episode_(0|[1-9][0-9]{0,8})")
# deflate, shuffle, fletcher32, and h5py's own lzf: what is part of h5py. No plugin is ever loaded.
_FILTERS = frozenset({1, 2, 3, 32000})


@dataclass
class _Taken:
    """So far, of all episodes."""

    rows: int = 0
    unpacked_bytes: int = 0
    names: tuple[str, ...] = ()


def open_minari(
    path: Path,
    limits: Limits,
    mapped: Mapping[str, str],  # noqa: ARG001  the format names its arrays
    dropped: Sequence[str],  # noqa: ARG001  none of them can be left out, columns can
) -> Table:
    require_beginning(path, b"\x89HDF\r\n\x1a\n", "HDF5")
    with h5py.File(path, "r") as file:
        numbers = sorted(int(found[1]) for name in file if (found := _EPISODE.fullmatch(name)))
        if not numbers:
            raise refused(
                "The HDF5 file has no group episode_0: send main_data.hdf5 of a Minari dataset."
            )
        taken = _Taken()
        names = tuple(columns_of(_arrays(file, numbers[0], limits, taken)))
    return Table((EPISODE, *names), _episodes(path, numbers, limits))


def _episodes(path: Path, numbers: Sequence[int], limits: Limits) -> Iterator[Iterable[Row]]:
    taken = _Taken()
    with h5py.File(path, "r") as file:
        for number in numbers:
            columns = columns_of(_arrays(file, number, limits, taken))
            yield _rows(number, columns)


def _rows(number: int, columns: Mapping[str, Array]) -> Iterable[Row]:
    """The last one has an observation alone."""
    count = max(len(column) for column in columns.values())
    cells = [[str(number)] * count, *(cells_of(column) for column in columns.values())]
    return zip(*(each + [""] * (count - len(each)) for each in cells), strict=True)


def _arrays(file: Any, number: int, limits: Limits, taken: _Taken) -> dict[str, Array]:
    """Refused or too large before a value is read."""
    episode = f"episode_{number}"
    group = _linked(file, episode, episode)
    if not isinstance(group, h5py.Group):
        raise refused(f"{episode} is no group: send main_data.hdf5 of a Minari dataset.")
    found = {name: _dataset(group, episode, name) for name in (OBSERVATIONS, *_PER_STEP)}
    _require_lengths(episode, found)
    widths = [width_of(name, each.shape) for name, each in found.items()]
    taken.rows += found[OBSERVATIONS].shape[0]
    taken.unpacked_bytes += sum(each.size * each.dtype.itemsize for each in found.values())
    require_size(
        limits, rows=taken.rows, columns=1 + sum(widths), unpacked_bytes=taken.unpacked_bytes
    )
    names = tuple(f"{name}{each.shape[1:]}" for name, each in found.items())
    if taken.names not in ((), names):
        raise refused(f"{episode} has {', '.join(names)}; those before {', '.join(taken.names)}.")
    taken.names = names
    return {usual(name): np.asarray(each[()]) for name, each in found.items()}


def _linked(group: Any, name: str, path: str) -> Any:
    link = group.get(name, getlink=True)
    if link is None:
        raise refused(
            f"{path} is not in the file: Minari writes {OBSERVATIONS}, "
            f"{', '.join(_PER_STEP)} for each episode."
        )
    if not isinstance(link, h5py.HardLink):
        raise refused(f"{path} is a link to elsewhere, which is never followed: copy the data.")
    return group[name]


def _dataset(group: Any, episode: str, name: str) -> Any:
    path = f"{episode}/{name}"
    found = _linked(group, name, path)
    if isinstance(found, h5py.Group):
        raise refused(
            f"{path} is nested, of a space of the kind Dict or Tuple; one array is needed: "
            "flatten the space, as gymnasium.wrappers.FlattenObservation does.",
            column=name,
        )
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise refused(f"{path} is no array.", column=name)
    if found.is_virtual or found.external:
        raise refused(f"{path} has its data in other files: copy them into this one.", column=name)
    require_plain(path, found.dtype)
    _require_filters(path, found)
    return found


def _require_filters(path: str, found: Any) -> None:
    properties = found.id.get_create_plist()
    used = {properties.get_filter(n)[0] for n in range(properties.get_nfilters())}
    if used - _FILTERS:
        raise refused(
            f"{path} is packed by HDF5 filter {min(used - _FILTERS)}; allowed: gzip, lzf, shuffle."
        )


def _require_lengths(episode: str, found: Mapping[str, Any]) -> None:
    told = {name: each.shape[0] if each.shape else 0 for name, each in found.items()}
    steps = told[OBSERVATIONS] - 1
    if steps < 1 or any(told[name] != steps for name in _PER_STEP):
        shown = ", ".join(f"{name}: {count:,}" for name, count in told.items())
        raise refused(
            f"{episode} has these numbers of rows: {shown}. Observations have one more than all "
            "others, which have at least one."
        )
