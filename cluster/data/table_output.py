"""Stores a returned value as the `Table` that the task type declares."""

from __future__ import annotations

from typing import Any

from cluster.data.arrow_conversion import arrow_tables
from cluster.data.dask_tables import is_partitioned, store_partitions
from cluster.data.data_sink import DataSink
from cluster.data.parquet_writer import columns_of, local_file, write_parquet
from cluster.data.row_schema import conform
from cluster.task_types.table_types import PARQUET, Part, Table, part_key


def store_table(value: Any, declared: type[Table[Any]], path: str, sink: DataSink) -> Table[Any]:
    """Writes a returned value as Parquet.

    Args:
        declared: `Table` or `Table[Row]`.
        path: of the value in the output.

    Raises:
        InvalidOutput: it is not a table, or not one of the declared Row.
        BlobError: the blob store refuses or does not answer.
    """
    key = sink.key(path)
    if is_partitioned(value):
        return store_partitions(value, declared, key, sink)
    row = declared.row
    tables = arrow_tables(value)
    with local_file() as copied:
        file = write_parquet(tables if row is None else (conform(it, row) for it in tables), copied)
        written = sink.write_file(part_key(key, 0), copied, PARQUET)
    return declared(
        key,
        file.row_count,
        columns_of(file.schema, file.with_missing, declared=row is not None),
        written.size_bytes,
        [Part(file.row_count, written.size_bytes)],
        written.sha256,
    )
