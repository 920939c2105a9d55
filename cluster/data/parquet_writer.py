"""Writes tables as Parquet, in row groups of bounded size, first to a local file and from there to the blob store.

The local file lets a failed transfer begin anew although a generator cannot, and keeps the memory at one row group.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cluster.data.libraries import pyarrow
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.table_types import Column

ROW_GROUP_ROWS: Final = 65_536
ROW_GROUP_BYTES: Final = 32_000_000
"""A row group ends at either of the two, whatever comes first; readers decode a whole one for a page."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file that was written.

    Attributes:
        schema: its Arrow schema.
        with_missing: the names of the columns in which values are missing.
    """

    path: Path
    schema: Any
    row_count: int
    with_missing: frozenset[str]


def local_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for one file, on the worker's own disk."""
    return tempfile.TemporaryDirectory(prefix="dask-graphql-table-")


def write_parquet(tables: Iterable[Any], path: Path) -> ParquetFile:
    """Writes pyarrow Tables of the same columns into one file. Missing columns and other types are refused.

    Raises:
        InvalidOutput: a table has other columns than the first, or values that do not fit their types.
    """
    import pyarrow.parquet as pq

    pa = pyarrow()
    iterator = iter(tables)
    first = next(iterator)
    schema = first.schema
    rows = 0
    missing: set[str] = set()
    waiting: list[Any] = []
    try:
        with pq.ParquetWriter(path, schema) as writer:
            table: Any = first
            while table is not None:
                table = _like(table, schema, rows)
                rows += table.num_rows
                missing |= {name for name in table.column_names if table.column(name).null_count}
                waiting.append(table)
                if (
                    sum(it.num_rows for it in waiting) >= ROW_GROUP_ROWS
                    or sum(it.nbytes for it in waiting) >= ROW_GROUP_BYTES
                ):
                    waiting = _write_full_groups(writer, pa.concat_tables(waiting))
                table = next(iterator, None)
            rest = pa.concat_tables(waiting) if waiting else None
            if rest is not None and (rest.num_rows or not rows):
                writer.write_table(rest, row_group_size=_group_rows(rest))
    except pa.ArrowNotImplementedError as error:
        raise InvalidOutput(f"has a column that Parquet cannot hold: {error}") from error
    return ParquetFile(path, schema, rows, frozenset(missing))


def _write_full_groups(writer: Any, table: Any) -> list[Any]:
    """Writes the full row groups at the beginning of a table and returns the rest, as it stays in memory."""
    size = _group_rows(table)
    full = table.num_rows - table.num_rows % size
    if full:
        writer.write_table(table.slice(0, full), row_group_size=size)
    rest = table.slice(full)
    return [rest] if rest.num_rows else []


def _group_rows(table: Any) -> int:
    """Rows of a row group within both limits."""
    by_bytes = table.num_rows * ROW_GROUP_BYTES // max(1, table.nbytes)
    return int(max(1, min(ROW_GROUP_ROWS, by_bytes)))


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
