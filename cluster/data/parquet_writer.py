"""Writes tables as Parquet, in row groups of bounded size, first to a local file and from there to the blob store.

The local file lets a failed transfer begin anew although a generator cannot, and keeps the memory at one row group.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cluster.data.libraries import pyarrow
from cluster.data.value_sizes import least_json_bytes
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.table_types import Column

ROW_GROUP_ROWS: Final = 65_536
ROW_GROUP_BYTES: Final = 32_000_000
"""A row group ends at either of the two, whatever comes first; readers decode a whole one for a page."""
MANY_PIECES: Final = 64


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file that was written.

    Attributes:
        schema: its Arrow schema.
        with_missing: the names of the columns in which values are missing.
    """

    schema: Any
    row_count: int
    with_missing: frozenset[str]


def local_file() -> IO[bytes]:
    """A file on the worker's own disk without a name: it is gone with the process, however that ends."""
    return tempfile.TemporaryFile(prefix="dask-graphql-table-")


def write_parquet(tables: Iterable[Any], file: Path | IO[bytes]) -> ParquetFile:
    """Writes pyarrow Tables of the same columns into one file. Missing columns and other types are refused.

    Raises:
        InvalidOutput: a table has other columns than the first, or values that do not fit their types.
    """
    import pyarrow.parquet as pq

    iterator = iter(tables)
    first = next(iterator)
    schema = first.schema
    rows = 0
    missing: set[str] = set()
    waiting: list[Any] = []
    rows_waiting = bytes_waiting = 0
    with _refusing():
        writer = pq.ParquetWriter(file, schema)
    with writer:
        table: Any = first
        while table is not None:
            table = _like(table, schema, rows)
            rows += table.num_rows
            missing |= {name for name in table.column_names if table.column(name).null_count}
            waiting.append(table)
            rows_waiting += table.num_rows
            bytes_waiting += _size(table)
            if rows_waiting >= ROW_GROUP_ROWS or bytes_waiting >= ROW_GROUP_BYTES:
                *full, last = row_groups(_joined(waiting))
                for group in full:
                    _write(writer, group)
                waiting, rows_waiting, bytes_waiting = [last], last.num_rows, _size(last)
            table = next(iterator, None)
        rest = _joined(waiting)
        if rest.num_rows or not rows:
            for group in row_groups(rest):
                _write(writer, group)
    return ParquetFile(schema, rows, frozenset(missing))


def _joined(tables: list[Any]) -> Any:
    """Waiting tables as one."""
    joined = pyarrow().concat_tables(tables)
    # Slices of a table of thousands of chunks would take longer than a copy of what is short.
    return joined.combine_chunks() if len(tables) > MANY_PIECES else joined


def row_groups(table: Any) -> Iterator[Any]:
    """The row groups of a table, within both limits, unless a single row is longer; at least one."""
    if table.num_rows <= ROW_GROUP_ROWS:
        yield from _halves(table)
        return
    for start in range(0, table.num_rows, ROW_GROUP_ROWS):
        yield from _halves(table.slice(start, ROW_GROUP_ROWS))


def _halves(table: Any) -> Iterator[Any]:
    if table.num_rows < 2 or _size(table) <= ROW_GROUP_BYTES:
        yield table
        return
    half = table.num_rows // 2
    yield from _halves(table.slice(0, half))
    yield from _halves(table.slice(half))


def _size(table: Any) -> int:
    """What readers decode a table to: Arrow counts a category once, however many rows have it."""
    return max(int(table.nbytes), sum(map(least_json_bytes, table.columns)))


@contextmanager
def _refusing() -> Iterator[None]:
    """Around what writes, not around what makes the tables: its exceptions are the function's own."""
    try:
        yield
    except pyarrow().ArrowException as error:
        raise InvalidOutput(f"has a column that Parquet cannot hold: {error}") from error


def _write(writer: Any, group: Any) -> None:
    with _refusing():
        writer.write_table(group, row_group_size=max(1, group.num_rows))


def _like(table: Any, schema: Any, row: int) -> Any:
    """A further piece of a table, with the columns and types of the first."""
    pa = pyarrow()
    if table.schema.equals(schema):
        return table
    if table.column_names != schema.names:
        raise InvalidOutput(
            f"has other columns from row {row} on: {', '.join(table.column_names[:20])}, and before "
            f"{', '.join(schema.names[:20])}: give all pieces the same ones"
        )
    columns = []
    for field, column in zip(schema, table.columns, strict=True):
        try:
            columns.append(column if column.type.equals(field.type) else column.cast(field.type))
        except pa.ArrowException as error:
            raise InvalidOutput(
                f"has the column {field.name!r} as {column.type} from row {row} on, and as {field.type} before: give "
                f"it one type, or declare Table[Row] ({error})"
            ) from error
    return pa.table(columns, schema=schema)


def columns_of(schema: Any, with_missing: frozenset[str], *, declared: bool) -> list[Column]:
    """The description of columns for the record.

    Args:
        declared: whether the schema comes from a Row, which says what may be missing.
    """
    return [
        Column(field.name, type_name(field.type), field.nullable if declared else field.name in with_missing)
        for field in schema
    ]


def type_name(kind: Any) -> str:
    """Arrow's name of a type, without the layouts that make no difference to the values."""
    types = pyarrow().types
    if types.is_dictionary(kind):
        return type_name(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return "string"
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return "binary"
    return str(kind)
