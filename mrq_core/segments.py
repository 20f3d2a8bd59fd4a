"""The replay on disk, so that a checkpoint writes only what is new.

Segment n holds the positions [n * L, (n + 1) * L). Once they all are stored it never changes
(`replay-<n>.safetensors`): it is written by one checkpoint and linked into those that follow.
What is in no whole segment, at the head and in the segment that is being overwritten, is written
with every checkpoint, like the priorities (`replay.safetensors`). Which position lies in which
file follows from the head alone, so equal runs make equal files, however often they were saved.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from mrq_core.layout import LOOSE, segment_length, segment_name, whole_segments
from mrq_core.replay import COLUMNS, Replay


def segment_slots(replay: Replay) -> int:
    """L. The same all through a run: it follows from the buffer's size and a slot's bytes."""
    columns: list[NDArray[Any]] = [getattr(replay, name) for name in COLUMNS]
    slot_bytes = sum(column[:1].nbytes for column in columns)
    return segment_length(slot_bytes, replay.h.buffer_size)


def save_replay(replay: Replay, directory: Path, previous: Path | None) -> dict[str, Any]:
    """Returns what `load_replay` needs beside the files. See `TrainingState.save`."""
    length = segment_slots(replay)
    whole = _whole_segments(replay, length)
    for number in whole:
        _save_segment(replay, number, length, directory, previous)
    rows = replay.rows(_loose_positions(replay, whole, length))
    size = replay.size
    eligible = replay.tree.leaves[:size] > 0
    save_file(rows | {"priority": replay.priority[:size], "eligible": eligible}, directory / LOOSE)
    return replay.counters() | {"segment_slots": length}


def load_replay(replay: Replay, state: Mapping[str, Any], directory: Path) -> None:
    """`replay` is a new one; `state` is what saving returned. ValueError if they do not fit."""
    length = segment_slots(replay)
    if state["segment_slots"] != length:
        raise ValueError(f"segment_slots is {state['segment_slots']}, expected {length}")
    loose = load_file(directory / LOOSE)

    def rows() -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]:
        whole = _whole_segments(replay, length)
        for number in whole:  # one after the other: together they are as large as the replay
            yield _positions(number, length), load_file(directory / segment_name(number))
        yield _loose_positions(replay, whole, length), loose

    replay.restore(state, rows(), loose["priority"], loose["eligible"])


def _whole_segments(replay: Replay, length: int) -> range:
    return whole_segments(replay.head, replay.size, length)


def _positions(number: int, length: int) -> NDArray[np.int64]:
    return np.arange(number * length, (number + 1) * length)


def _loose_positions(replay: Replay, whole: range, length: int) -> NDArray[np.int64]:
    every = np.arange(replay.head - replay.size, replay.head)
    # Never more than two parts: a segment has at least one neighbour that is whole.
    inside = (every >= whole.start * length) & (every < whole.stop * length)
    return every[~inside]


def _save_segment(
    replay: Replay, number: int, length: int, directory: Path, previous: Path | None
) -> None:
    target = directory / segment_name(number)
    written = None if previous is None else previous / segment_name(number)
    if written is None or not written.exists():
        save_file(replay.rows(_positions(number, length)), target)
        return
    try:
        target.hardlink_to(written)
    except OSError:  # not every file system can
        shutil.copyfile(written, target)
