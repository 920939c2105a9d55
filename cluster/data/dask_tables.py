"""Dask DataFrames and bags as a `Table`: the workers write their partitions in parallel, each as its own Parquet file,
and none passes through another process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

from cluster.data.arrow_conversion import arrow_tables
from cluster.data.blob_stores import blob_store
from cluster.data.data_sink import DataSink, copy_file
from cluster.data.libraries import pyarrow
from cluster.data.parquet_writer import columns_of, local_file, write_parquet
from cluster.data.row_schema import conform
from cluster.store.blob_writer import Written
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.table_types import PARQUET, Part, Table, part_key

MAX_PARTS: Final = 5_000
"""Partitions of a Dask DataFrame; the record lists them."""


@dataclass(frozen=True)
class _WrittenPart:
    """What a worker returns of the partition that it wrote: never the partition itself."""

    schema: bytes
    row_count: int
    size_bytes: int
    sha256: str
    with_missing: frozenset[str]


def is_partitioned(value: Any) -> bool:
    """Whether it is a Dask collection of partitions: a DataFrame, Series or bag."""
    # Of its class: a `delayed` value claims to have every attribute. One number, as `.sum()`, is no partitions either.
    return hasattr(type(value), "map_partitions") and type(value).__name__ != "Scalar"


def store_partitions(collection: Any, declared: type[Table[Any]], key: str, sink: DataSink) -> Table[Any]:
    """Writes each partition of a collection where it is computed.

    Raises:
        InvalidOutput: a partition is not a table, or its columns differ from those of the others.
        BlobError: the blob store refuses or does not answer.
    """
    if collection.npartitions > MAX_PARTS:
        raise InvalidOutput(
            f"has {collection.npartitions} partitions, but a table has at most {MAX_PARTS} files: return "
            f"frame.repartition(npartitions={MAX_PARTS}) or fewer"
        )
    import dask

    sink.before_write()
    write = dask.delayed(write_part, pure=False, traverse=False)
    url = sink.blobs.url
    # Each partition is a part of the graph of its own; optimized together, those that share inputs share them.
    parts = [
        write(part, part_key(key, number), declared.row, url)
        for number, part in enumerate(collection.to_delayed(optimize_graph=True))
    ]
    found: dict[int, _WrittenPart] = {}
    for number, written in sink.as_completed(parts):
        alone = PARQUET if len(parts) == 1 else None
        sink.note(part_key(key, number), Written(written.size_bytes, written.sha256), alone)
        found[number] = written
    written_parts = [found[number] for number in range(len(parts))]
    schema = _common_schema([part.schema for part in written_parts])
    if len(parts) > 1:
        sink.write(f"{key}.schema", schema.serialize().to_pybytes())
    missing = frozenset[str]().union(*(part.with_missing for part in written_parts))
    table = declared(
        key,
        sum(part.row_count for part in written_parts),
        columns_of(schema, missing, declared=declared.row is not None),
        sum(part.size_bytes for part in written_parts),
        [Part(part.row_count, part.size_bytes) for part in written_parts],
        written_parts[0].sha256,
    )
    return table if len(parts) == 1 else replace(table, sha256=sink.write_manifest(table))


def write_part(partition: Any, key: str, row: Any, blob_store_url: str) -> _WrittenPart:
    """Runs on a worker: writes one partition."""
    tables = arrow_tables(partition)
    with local_file() as copied:
        file = write_parquet(tables if row is None else (conform(it, row) for it in tables), copied)
        written = copy_file(blob_store(blob_store_url), key, copied, Event())
    schema = file.schema.remove_metadata().serialize().to_pybytes()
    return _WrittenPart(schema, file.row_count, written.size_bytes, written.sha256, file.with_missing)


def _common_schema(encoded: list[bytes]) -> Any:
    """The schema to which every part can be converted: integers with missing values are floats in some parts."""
    pa = pyarrow()
    schemas = [pa.ipc.read_schema(pa.py_buffer(it)) for it in dict.fromkeys(encoded)]
    # An empty partition may say nothing of its types.
    try:
        common = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise InvalidOutput(
            f"has a column whose type differs between partitions: {error}; give it one with .astype(...), or declare "
            "Table[Row]"
        ) from error
    for schema in schemas:
        if schema.names != common.names:
            one, other = (", ".join(it.names[:9]) for it in (schema, common))
            raise InvalidOutput(f"has partitions with different columns: {one}, and {other}")
    return common
