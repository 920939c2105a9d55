"""Tables as downloads: Parquet, Arrow's IPC stream and CSV, made row group by row group, so that no table is in memory
as a whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

import orjson

from cluster.data.json_cells import json_values, text_column
from cluster.data.libraries import pyarrow
from cluster.data.table_reader import TableReader
from cluster.task_types.table_types import Table

FORMULA: Final = r"^[=+\-@\t\r]"
"""The beginning of a text that a spreadsheet takes for a formula (OWASP, CSV injection)."""
CSV_ROWS: Final = 8_192
"""Rows that are converted to CSV at a time."""


def arrow_stream(reader: TableReader, table: Table[Any]) -> Iterator[bytes]:
    """The table in Arrow's IPC streaming format."""
    pa = pyarrow()
    out = io.BytesIO()
    with pa.ipc.new_stream(out, reader.schema(table)) as writer:
        for group in reader.groups(table):
            writer.write_table(group)
            yield _taken(out)
    yield _taken(out)


def parquet_stream(reader: TableReader, table: Table[Any]) -> Iterator[bytes]:
    """The table as one Parquet file. Only for a table of several parts: that of one is such a file already."""
    import pyarrow.parquet as pq

    out = _Pipe()
    with pq.ParquetWriter(out, reader.schema(table)) as writer:
        for group in reader.groups(table):
            writer.write_table(group)
            yield out.taken()
    yield out.taken()


def csv_stream(reader: TableReader, table: Table[Any], *, keep_formulas: bool) -> Iterator[bytes]:
    """The table as CSV (RFC 4180) in UTF-8: a line of names, then the rows; missing values are empty, empty texts "".

    Args:
        keep_formulas: leaves texts unchanged that a spreadsheet would take for formulas.
    """
    pa = pyarrow()
    import pyarrow.csv as csv

    names = [column.name for column in table.columns]
    out = io.BytesIO()
    header = pa.array(names, pa.string())
    if not keep_formulas:
        header = _escaped(header)
    yield b",".join(_quoted(name) for name in header.to_pylist()) + b"\r\n"
    options = csv.WriteOptions(include_header=False, quoting_style="needed", eol="\r\n")
    for group in reader.groups(table):
        for start in range(0, group.num_rows, CSV_ROWS):
            part = group.slice(start, CSV_ROWS)
            # Arrow's writer takes columns by position; equal names are impossible, but a name may be empty.
            cells = [csv_cells(column, keep_formulas=keep_formulas) for column in part.columns]
            csv.write_csv(pa.table(cells, names=[f"c{number}" for number in range(len(cells))]), out, options)
            yield _taken(out)


def csv_cells(column: Any, *, keep_formulas: bool = False) -> Any:
    """A column as Arrow's CSV writer takes it: numbers and booleans as they are, everything else as text."""
    pa = pyarrow()
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return csv_cells(column.cast(kind.value_type), keep_formulas=keep_formulas)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_null(kind) or types.is_float64(kind):
        return column
    if types.is_floating(kind):
        return column.cast(pa.float32()) if types.is_float16(kind) else column
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return column if keep_formulas else _escaped(column)
    if (written := text_column(column)) is not None:
        return written
    values = json_values(column)
    nested = types.is_nested(kind)
    texts = [None if it is None else orjson.dumps(it).decode() if nested else it for it in values]
    return pa.array(texts, pa.string())


def _escaped(texts: Any) -> Any:
    """Texts with a `'` before those that a spreadsheet would take for a formula."""
    pa = pyarrow()
    import pyarrow.compute as pc

    texts = texts.cast(pa.large_string())
    formula = pc.match_substring_regex(texts, FORMULA)
    quote = pa.scalar("'", pa.large_string())
    return pc.if_else(formula, pc.binary_join_element_wise(quote, texts, pa.scalar("", pa.large_string())), texts)


def _quoted(name: str) -> bytes:
    return b'"' + name.replace('"', '""').encode() + b'"'


def _taken(out: io.BytesIO) -> bytes:
    data = out.getvalue()
    out.seek(0)
    out.truncate()
    return data


class _Pipe(io.RawIOBase):
    """A file that is only written to; what was written is taken away, but counts for the position."""

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._waiting.append(piece)
        self._position += len(piece)
        return len(piece)

    def taken(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data
