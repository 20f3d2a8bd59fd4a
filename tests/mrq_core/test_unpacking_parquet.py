"""Parquet files as tables of text, batch by batch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mrq_core.csv_table import Limits, TableRefused, TooLarge
from mrq_core.unpacking.table import BATCH_ROWS
from tests.mrq_core.unpacking_of import lines_of


def parquet_of(columns: Mapping[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def column(values: Any, folder: Path) -> list[str]:
    return [line[0] for line in lines_of(parquet_of({"x": values}), "parquet", folder)[1:]]


NOON = datetime(2020, 1, 2, 12, 0, 0, 250_000, UTC)


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        (pa.array([1, None, -3]), ["1", "", "-3"]),
        (pa.array([2**63], pa.uint64()), [str(2**63)]),
        (pa.array([0.1, None, float("nan"), 1e300]), ["0.1", "", "", "1e+300"]),
        (pa.array([0.1, 1 / 3], pa.float32()), ["0.1", "0.33333334"]),
        (pa.array([True, False, None]), ["1", "0", ""]),
        (pa.array(["a,b", 'c"d', None, ""]), ["a,b", 'c"d', "", ""]),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([date(2020, 2, 29), None]), ["2020-02-29", ""]),
        (pa.array([NOON, None], pa.timestamp("ns", "UTC")), ["2020-01-02T12:00:00.250000Z", ""]),
        (pa.array([NOON], pa.timestamp("ms", "+02:00")), ["2020-01-02T12:00:00.250000Z"]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("s")), ["2020-01-02T12:00:00Z"]),
        (pa.nulls(2), ["", ""]),
    ],
    ids=lambda each: str(each.type) if isinstance(each, pa.Array) else "",
)
def test_values_become_cells(values: Any, cells: list[str], tmp_path: Path) -> None:
    assert column(values, tmp_path) == cells


def test_many_row_groups_and_batches_are_one_table(tmp_path: Path) -> None:
    count = 2 * BATCH_ROWS + 7
    content = parquet_of({"n": np.arange(count)}, row_group_size=5_000, compression="zstd")
    lines = lines_of(content, "parquet", tmp_path)
    assert lines[0] == ["n"]
    assert [line[0] for line in lines[1:]] == [str(n) for n in range(count)]


def test_a_column_that_is_dropped_may_be_of_any_type(tmp_path: Path) -> None:
    columns = {"x": pa.array([1, 2]), "list": pa.array([[1, 2], [3]])}
    with pytest.raises(TableRefused, match=r"Column list is of the type list<.*drop=list"):
        lines_of(parquet_of(columns), "parquet", tmp_path)
    assert lines_of(parquet_of(columns), "parquet", tmp_path, dropped=["list"]) == [
        ["x"], ["1"], ["2"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        pa.array([{"a": 1}]),
        pa.array([b"\x00"]),
        pa.array([timedelta(1)]),
        pa.array([[1.0]], pa.list_(pa.float32(), 1)),
    ],
    ids=lambda each: str(each.type),
)
def test_types_that_are_no_cell_are_refused_by_their_column(values: Any, tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match="Column x is of the type") as refusal:
        column(values, tmp_path)
    assert refusal.value.problems[0].column == "x"


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"unpacked_bytes": 1_000_000}, "unpacks to [0-9,]+ bytes or more; allowed: 1,000,000"),
        ({"rows": 199_999}, "more than 199,999 rows"),
        ({"cells": 399_999}, "more than 399,999 cells"),
        ({"columns": 1}, "2 columns; allowed: 1"),
    ],
)
def test_a_bomb_is_refused_by_its_footer(limits: dict[str, int], told: str, tmp_path: Path) -> None:
    zeros = np.zeros(200_000)
    content = parquet_of({"a": zeros, "b": zeros}, compression="zstd", use_dictionary=False)
    assert len(content) < 5_000
    with pytest.raises(TooLarge, match=told):
        lines_of(content, "parquet", tmp_path, limits=Limits(**limits))
    assert not (tmp_path / "made").exists()


def test_a_text_that_is_told_once_and_meant_often_is_counted(tmp_path: Path) -> None:
    """A dictionary of one long text: 300 kB by the footer, 2.4 GB as cells."""
    text = pa.DictionaryArray.from_arrays(np.zeros(8_000, np.int32), ["x" * 300_000])
    content = parquet_of({"a": text}, compression="zstd")
    assert len(content) < 5_000
    with pytest.raises(TooLarge, match="unpacks to 2,400,000,000 bytes or more"):
        lines_of(content, "parquet", tmp_path)


@pytest.mark.parametrize("cut", [4, 8, 200])
def test_a_file_that_is_cut_off_is_damaged(cut: int, tmp_path: Path) -> None:
    content = parquet_of({"a": np.arange(500.0)})
    with pytest.raises(TableRefused, match="damaged or of another kind"):
        lines_of(content[:-cut], "parquet", tmp_path)


def test_a_spoilt_page_is_found_by_its_checksum(tmp_path: Path) -> None:
    content = bytearray(
        parquet_of(
            {"a": np.arange(500.0)}, compression="none", use_dictionary=False,
            write_page_checksum=True,
        )
    )  # fmt: skip
    content[1_000] ^= 1
    with pytest.raises(TableRefused, match="damaged"):
        lines_of(bytes(content), "parquet", tmp_path)


def test_another_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableRefused, match="no Parquet file: it does not begin"):
        lines_of(b"Date,Open\n", "parquet", tmp_path)
