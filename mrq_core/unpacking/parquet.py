"""A Parquet file, batch by batch. https://parquet.apache.org/docs/file-format/"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet, types

from mrq_core.csv_table import Limits, refused, require_size
from mrq_core.unpacking.table import BATCH_ROWS, Row, Table, cells_of, require_beginning

# Of the footer, which is parsed as a whole: far above what tables within the limits need.
_LONGEST_TEXT = 8 << 20
_MOST_ITEMS = 1 << 18
_TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
_PLAIN = (
    *_TEXTS,
    types.is_integer,
    types.is_floating,
    types.is_boolean,
    types.is_decimal,
    types.is_timestamp,
    types.is_date,
    types.is_null,
)


def open_parquet(
    path: Path,
    limits: Limits,
    mapped: Mapping[str, str],  # noqa: ARG001  columns have their own names
    dropped: Sequence[str],
) -> Table:
    """What the footer declares is held to the limits before anything is unpacked."""
    require_beginning(path, b"PAR1", "Parquet")
    file = _opened(path, [])
    left_out = frozenset(dropped) & set(file.schema_arrow.names)
    fields = [field for field in file.schema_arrow if field.name not in left_out]
    groups = file.metadata.num_row_groups
    require_size(
        limits,
        rows=file.metadata.num_rows,
        columns=len(fields),
        unpacked_bytes=sum(file.metadata.row_group(n).total_byte_size for n in range(groups)),
    )
    for field in fields:
        _require_plain(field)
    names = tuple(field.name for field in fields)
    # Of these a text that occurs often stays one until its length was counted as often.
    texts = [field.name for field in fields if any(is_text(field.type) for is_text in _TEXTS)]
    return Table(names, _batches(_opened(path, texts), names, limits), left_out)


def _opened(path: Path, texts: Sequence[str]) -> Any:
    return parquet.ParquetFile(
        path,
        read_dictionary=texts,
        buffer_size=1 << 20,
        pre_buffer=False,
        thrift_string_size_limit=_LONGEST_TEXT,
        thrift_container_size_limit=_MOST_ITEMS,
        page_checksum_verification=True,
        arrow_extensions_enabled=False,
    )


def _require_plain(field: Any) -> None:
    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    if not any(is_so(kind) for is_so in _PLAIN):
        raise refused(
            f"Column {field.name} is of the type {field.type}; allowed: numbers, booleans, text, "
            "dates and times. Make a column of each number in it, or leave it out "
            f"(drop={field.name}).",
            column=field.name,
        )


def _batches(file: Any, names: Sequence[str], limits: Limits) -> Iterator[Iterable[Row]]:
    for batch in file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
        text_bytes = sum(_text_bytes(column) for column in batch.columns)
        require_size(limits, rows=0, columns=0, unpacked_bytes=text_bytes)
        yield zip(*(_cells(column) for column in batch.columns), strict=True)


def _text_bytes(column: Any) -> int:
    """Of all its cells together, without making them."""
    if not types.is_dictionary(column.type) or not any(
        is_text(column.type.value_type) for is_text in _TEXTS
    ):
        return 0
    lengths = compute.binary_length(column.dictionary).cast(pa.int64())
    return compute.sum(lengths.take(column.indices)).as_py() or 0


def _cells(column: Any) -> list[str]:
    kind = column.type
    if types.is_dictionary(kind):
        return _cells(column.dictionary_decode())
    if types.is_boolean(kind):
        return _cells(column.cast(pa.int8()))
    if types.is_timestamp(kind):
        return _times(column)
    if types.is_floating(kind) or (types.is_integer(kind) and column.null_count == 0):
        return cells_of(column.to_numpy(zero_copy_only=False))
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _times(column: Any) -> list[str]:
    """In UTC, as they are stored with a zone; without one they are taken for UTC as in a CSV."""
    moments = column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    texts: list[str] = np.datetime_as_string(moments, unit="us", timezone="UTC").tolist()
    return ["" if text == "NaT" else text.replace(".000000Z", "Z") for text in texts]
