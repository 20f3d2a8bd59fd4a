"""Arrays as a table of transitions, and what is refused before it is unpacked."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrq_core.csv_table import Limits, TableRefused, TooLarge
from tests.mrq_core.unpacking_of import STEPS, lines_of, npz_of


def without(name: str) -> dict[str, Any]:
    return {each: array for each, array in STEPS.items() if each != name}


def zip_of(files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return file.getvalue()


def npy_of(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    """With a header that says what it likes."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def test_arrays_become_columns_and_episodes_end_with_their_flags(tmp_path: Path) -> None:
    lines = lines_of(npz_of(STEPS), "npz", tmp_path)
    assert lines[0] == [
        "episode", "observation_0", "observation_1", "action", "reward", "terminated",
    ]  # fmt: skip
    assert lines[1] == ["0", "0.0", "0.1", "0", "-1.0", "0"]
    assert lines[2] == ["0", "0.2", "0.3", "1", "-0.9661016949152542", "1"]
    assert lines[3][0] == "1"
    assert len(lines) == 61


def test_every_number_is_the_same_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    written = {
        "single": rng.normal(size=60).astype(np.float32),
        "double": rng.normal(size=60) * 10.0 ** rng.integers(-30, 30, 60),
        "big_endian": rng.normal(size=60).astype(">f8"),
        "whole": rng.integers(-(2**62), 2**62, 60),
    }
    lines = lines_of(npz_of(STEPS | written), "npz", tmp_path)
    for name, array in written.items():
        cells = [line[lines[0].index(name)] for line in lines[1:]]
        assert np.array_equal(np.array(cells).astype(array.dtype), array), name


def test_columns_of_an_array_by_columns_stay_apart(tmp_path: Path) -> None:
    turned = np.asfortranarray(STEPS["observation"])
    assert lines_of(npz_of(STEPS | {"observation": turned}), "npz", tmp_path) == lines_of(
        npz_of(STEPS), "npz", tmp_path
    )


def test_names_of_others_are_known_and_given_ones_stay(tmp_path: Path) -> None:
    d4rl = {
        "observations": STEPS["observation"], "actions": STEPS["action"][:, None],
        "rewards": STEPS["reward"], "terminals": np.zeros(60, bool),
        "timeouts": STEPS["terminated"],
    }  # fmt: skip
    lines = lines_of(npz_of(d4rl), "npz", tmp_path, {"reward": "rewards"})
    assert lines[0][3:] == ["action", "rewards", "terminated", "truncated"]
    assert [line[0] for line in lines[1:6]] == ["0", "0", "1", "1", "2"]


def test_episodes_that_are_named_are_kept(tmp_path: Path) -> None:
    named = np.repeat(np.array([f"ö-{n}".encode() for n in range(30)]), 2)
    lines = lines_of(npz_of(STEPS | {"episode": named}), "npz", tmp_path)
    assert [line[-1] for line in lines[1:4]] == ["ö-0", "ö-0", "ö-1"]


def test_a_value_that_is_missing_is_an_empty_cell(tmp_path: Path) -> None:
    reward = STEPS["reward"].copy()
    reward[1] = np.nan
    lines = lines_of(npz_of(STEPS | {"reward": reward}), "npz", tmp_path)
    assert lines[2][4] == ""


def test_an_array_that_is_dropped_is_not_even_described(tmp_path: Path) -> None:
    odd = {"infos": np.array([{"a": 1}], object), "next_observation": np.zeros((9, 9, 9))}
    lines = lines_of(npz_of(STEPS | odd), "npz", tmp_path, dropped=[*odd])
    assert len(lines[0]) == 6


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        (STEPS | {"infos": np.array([{"a": 1}] * 60, object)}, "infos holds Python objects"),
        (STEPS | {"observation": np.zeros((60, 4, 4))}, r"shape \(60, 4, 4\); allowed: \(N\) or"),
        (STEPS | {"seed": np.array(3)}, r"seed has the shape \(\)"),
        (STEPS | {"reward": np.zeros(59)}, "observation: 60, action: 60, reward: 59"),
        (STEPS | {"reward": np.zeros(60, complex)}, "dtype complex128; allowed: whole numbers"),
        (STEPS | {"both": np.zeros(60, [("a", "f4")])}, "both has the dtype"),
        (STEPS | {"next_observations": np.zeros(60)}, "told in advance. Leave it out"),
        (STEPS | {"rewards": np.zeros(60)}, "Two arrays are reward"),
        (STEPS | {"observation_0": np.zeros(60)}, "Two arrays make the column 'observation_0'"),
        ({}, "no numpy.savez wrote it|does not begin with"),
    ],
)
def test_what_is_no_table_is_refused(arrays: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match=told):
        lines_of(npz_of(arrays), "npz", tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zip_of({"x.txt": b"1"}), "'x.txt', which is no array"),
        (zip_of({"x.npy": b"1234567890"}), "x has no header of a plain array"),
        (zip_of({"x.npy": npy_of("(10**9,)")}), "x has no header of a plain array"),
        (zip_of({"x.npy": npy_of("(1000000000000, 9)")}), "72,000,000,000,000 bytes by its head"),
        (zip_of({"x.npy": npy_of("(4,)", data=bytes(40))}), "32 bytes by its header, 40 in the"),
        (zip_of({"x.npy": npy_of("(-1,)")}), "no header of a plain array|damaged"),
        (zip_of({"x.npy": npy_of("(2,)", "'|O'", bytes(16))}), "x holds Python objects"),
        (zip_of({"x.npy": b"1"}, zipfile.ZIP_LZMA), "packed in a way that numpy does not write"),
        (npz_of(STEPS)[:-10], "is cut off"),
        (b"PK\x03\x04", "is cut off"),
        (b"episode,x\n", "no NPZ file: it does not begin with"),
    ],
)  # fmt: skip
def test_a_file_that_lies_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match=told):
        lines_of(content, "npz", tmp_path)


def test_a_spoilt_byte_is_found_by_the_checksum(tmp_path: Path) -> None:
    content = bytearray(zip_of({"x.npy": npy_of("(9,)", data=bytes(72))}, zipfile.ZIP_STORED))
    content[-150] ^= 1
    with pytest.raises(TableRefused, match="damaged"):
        lines_of(bytes(content), "npz", tmp_path)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"unpacked_bytes": 60_000}, "unpacks to .* allowed: 60,000 .MRQ_MAX_DATASET_UNPACKED"),
        ({"rows": 9_999}, "more than 9,999 rows"),
        ({"cells": 30_000}, "more than 30,000 cells"),
        ({"columns": 3}, "4 columns; allowed: 3"),
    ],
)
def test_a_bomb_is_refused_before_it_goes_off(
    limits: dict[str, int], told: str, tmp_path: Path
) -> None:
    content = npz_of({name: np.zeros(10_000) for name in "abcd"})
    assert len(content) < 2_000
    tracemalloc.start()
    with pytest.raises(TooLarge, match=told):
        lines_of(content, "npz", tmp_path, limits=Limits(**limits))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000, "of 320,000 unpacked"
    assert not (tmp_path / "made").exists()


def test_a_size_that_the_zip_understates_is_not_exceeded(tmp_path: Path) -> None:
    """10 MB of zeros that say they were 80 bytes: no more than those are unpacked."""
    content = zip_of({"x.npy": npy_of("(9,)", data=bytes(10_000_000))})
    size = len(npy_of("(9,)", data=bytes(10_000_000))).to_bytes(4, "little")
    small = len(npy_of("(9,)", data=bytes(72))).to_bytes(4, "little")
    assert content.count(size) == 2
    tracemalloc.start()
    with pytest.raises(TableRefused, match="damaged"):
        lines_of(content.replace(size, small), "npz", tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_long_list_of_arrays_is_not_read(tmp_path: Path) -> None:
    many = zip_of({f"{n:060000}.npy": b"" for n in range(20)}, zipfile.ZIP_STORED)
    with pytest.raises(TableRefused, match="lists more arrays than any table has"):
        lines_of(many, "npz", tmp_path)
