"""What a table of prices must be, and what is said of one that is not."""

import io

import numpy as np
import pytest

from mrq_core.csv_table import Limits, TableRefused, TooLarge, number_in, time_in
from mrq_core.markets.series import choose_columns, read_series
from tests.prices import csv_of, rows, series_of

SMALL = Limits(rows=500, columns=10, cells=4_000)


def refusal(content: bytes, limits: Limits = SMALL) -> TableRefused:
    with pytest.raises(TableRefused) as caught:
        read_series(io.BytesIO(content), limits)
    return caught.value


def changed(line: int, column: int, cell: str) -> bytes:
    """`line` as editors count: the header is the first."""
    table = rows()
    table[line - 2][column] = cell
    return csv_of(table)


def test_it_is_read_as_it_stands() -> None:
    table = rows()
    series = series_of(csv_of(table, further={"mood": range(300)}))
    assert series.columns.roles["close"] == "Close"
    assert series.columns.features == ("mood",)
    assert series.of("close").tolist() == [float(row[4]) for row in table]
    assert series.features[:, 0].tolist() == [float(n) for n in range(300)]
    assert series.times[0] == np.datetime64("2020-01-01", "us").astype(np.int64)
    assert np.unique(np.diff(series.times)).tolist() == [86_400_000_000]


def test_a_byte_order_mark_empty_lines_and_windows_ends_are_fine() -> None:
    content = b"\xef\xbb\xbf" + csv_of(rows()).replace(b"\n", b"\r\n") + b"\r\n\r\n"
    assert len(series_of(content)) == 300


@pytest.mark.parametrize(
    ("line", "column", "cell", "said"),
    [
        (5, 4, "abc", "Line 5, column Close: 'abc' is not a number"),
        (5, 4, '"1,234"', "Line 5, column Close: '1,234' is not a number"),
        (5, 4, "1_000", "'1_000' is not a number"),
        (5, 4, "١٢", "is not a number"),
        (5, 4, "inf", "'inf' is not a number"),
        (5, 4, "1e999", "is beyond 1e+100"),
        (5, 4, "=SUM(B2:B9)", "'=SUM(B2:B9)' is a formula: export the values instead"),
        (5, 4, "@cmd", "is a formula"),
        (5, 4, "+cmd|x", "is a formula"),
        (5, 4, "0", "Line 5, column Close: 0 must be above 0"),
        (5, 4, "-3", "Line 5, column Close: -3 must be above 0"),
        (5, 5, "-1", "Line 5, column Volume: -1 must not be negative"),
        (5, 0, "31.05.2024", "Line 5, column Date: '31.05.2024' is not a date (2024-05-31)"),
        (5, 0, "", "Line 5, column Date: '' is not a date"),
        (5, 0, "2020-01-03", "Line 5, column Date: the same time as in line 4"),
        (5, 0, "2020-01-01", "Line 5, column Date: earlier than line 4; sort the rows by time"),
        (5, 0, "2020-01-09,1", "Line 5 has 7 cells, the header names 6 columns"),
        (5, 4, "1\0", "Line 5 has a NUL byte"),
        (5, 4, '"1', "Line"),
        (5, 4, "1" * 70_000, "Line 5 has more than 65,536 bytes"),
    ],
)
def test_a_bad_cell_is_named(line: int, column: int, cell: str, said: str) -> None:
    assert said in str(refusal(changed(line, column, cell)))


def test_a_run_of_missing_values_is_named_by_its_lines() -> None:
    table = rows()
    table[3][4] = "NaN"
    for row in table[10:15]:
        row[4] = ""
    text = str(refusal(csv_of(table)))
    assert "Column Close has no value in 6 rows, the longest run in lines 12 to 16" in text


def test_all_bad_cells_are_told_up_to_twenty() -> None:
    table = rows()
    for row in table:
        row[4] = "x"
    error = refusal(csv_of(table))
    assert len(error.problems) == 20
    assert [problem.line for problem in error.problems[:3]] == [2, 3, 4]
    assert "(20 such problems or more)" in str(error)


def test_the_newest_first_is_told_as_that() -> None:
    text = str(refusal(csv_of(rows()[::-1])))
    assert "sorted by Date with the newest first: sort them oldest first" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\x1f\x8b\x08rest", "This is a gzip file, not CSV"),
        (b"PK\x03\x04rest", "This is a ZIP or Excel file"),
        (b"PAR1rest", "This is a Parquet file"),
        ("Date,Öpen".encode("latin-1"), "Line 1 is not UTF-8 (byte 0xd6 at position 6)"),
        ("Date,Open".encode("utf-16"), "The file is in UTF-16: save it as UTF-8"),
        (b"Date;Open;High", "separated by ';'; a comma is needed"),
        (b"Date,Open,Open", "Two columns are called 'Open'"),
        (b"Date,,Open", "Column 2 is called ''"),
        (b"Date,=1+1,Open", "a name is no formula"),
        (b"Date,Open,High,Low,Close", "Needed and not there: volume. The file has Date, Open"),
        (b"Date,Open,High,Low,Close,Volume", "The file has 0 rows; at least 100 are needed"),
        (csv_of(rows(1)), "The file has 1 row; at least 100 are needed"),
    ],
)
def test_a_bad_file_is_told_what_it_is(content: bytes, said: str) -> None:
    assert said in str(refusal(content))


def test_a_million_columns_are_refused_at_the_first_line() -> None:
    read = 0

    class Counting(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            nonlocal read
            line = super().readline(size)
            read += len(line)
            return line

    header = ",".join(f"c{n}" for n in range(1_000_000)).encode()
    with pytest.raises(TooLarge, match=r"columns; allowed: 10 \(MRQ_MAX_DATASET_COLUMNS\)"):
        read_series(Counting(header), SMALL)
    assert read < 100_000
    with pytest.raises(TooLarge, match="The header names 11 columns"):
        read_series(io.BytesIO(b"a,b,c,d,e,f,g,h,i,j,k\n"), SMALL)


def test_too_many_rows_or_cells_are_refused() -> None:
    with pytest.raises(TooLarge, match=r"more than 500 rows \(MRQ_MAX_DATASET_ROWS\)"):
        read_series(io.BytesIO(csv_of(rows(501))), SMALL)
    few_cells = Limits(rows=500, columns=10, cells=1_000)
    with pytest.raises(TooLarge, match=r"more than 1,000 cells \(MRQ_MAX_DATASET_CELLS\)"):
        read_series(io.BytesIO(csv_of(rows(200))), few_cells)
    exactly = Limits(rows=300, columns=6, cells=1_800)
    assert len(read_series(io.BytesIO(csv_of(rows(300))), exactly)) == 300


def test_columns_are_chosen_by_role() -> None:
    names = ("when", "Open", "High", "Low", "Last", "Volume", "mood", "noise")
    columns = choose_columns(names, {"timestamp": "when", "close": "Last"}, ["noise"])
    assert columns.roles["close"] == "Last"
    assert columns.features == ("mood",)
    for mapped, dropped, said in [
        ({"timestamp": "when"}, [], "Needed and not there: close"),
        ({"shut": "Last"}, [], "'shut' is no role of a column; allowed: timestamp, open"),
        ({"close": "Lost"}, [], "There is no column 'Lost'; the file has when"),
        ({}, ["Lost"], "There is no column 'Lost'"),
        ({"timestamp": "when", "close": "Last", "open": "Last"}, [], "One column has two roles"),
    ]:
        with pytest.raises(TableRefused, match=said):
            choose_columns(names, mapped, dropped)


def test_times_and_numbers_as_people_write_them() -> None:
    day = 19_874 * 86_400_000_000  # 2024-05-31
    for text in ("2024-05-31", "20240531", "2024-05-31T00:00:00Z", "1717113600", "1717113600000"):
        assert time_in(text) == day, text
    assert time_in("2024-05-31 02:00:00+02:00") == day
    assert time_in("1950-01-03") == -7303 * 86_400_000_000
    assert [number_in(text) for text in (" 1 ", "+.5", "-2.", "1E3")] == [1.0, 0.5, -2.0, 1000.0]
    assert all(np.isnan(number_in(text)) for text in ("", "NaN", "n/a", "null", "-"))
