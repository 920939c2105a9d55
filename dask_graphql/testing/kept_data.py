"""Tables and arrays of an outcome: read from its temporary folder, and passed on to another `run_task`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster.task_types.array_types import Array
from cluster.task_types.data_files import ArrayFile, TableFile
from cluster.task_types.data_reading import attach, attached
from cluster.task_types.file import MANIFEST, File, FileContent, file_id, resolve
from cluster.task_types.table_types import PARQUET, Table, part_key
from cluster.task_types.walk import instances_in

if TYPE_CHECKING:
    from dask_graphql.testing.outcomes import Outcome


def make_readable(value: Any, outcome: Outcome) -> Any:
    """Returns an output whose tables and arrays have the methods that read them; they keep the outcome's folder."""
    folder = outcome.blob_store.folder
    for table in instances_in(value, Table):
        several = len(table.parts) > 1
        path = folder / (table.key if several else part_key(table.key, 0))
        _attach(
            table,
            TableFile,
            FileContent("", table.size_bytes, MANIFEST if several else PARQUET, local=str(path)),
            outcome,
        )
    for array in instances_in(value, Array):
        several = array.chunks is not None
        path = folder / (array.key if several else array.npy_key)
        media_type = MANIFEST if several else "application/octet-stream"
        _attach(array, ArrayFile, FileContent("", array.size_bytes, media_type, local=str(path)), outcome)
    return value


def _attach(data: Table[Any] | Array, kind: type[File], content: FileContent, outcome: Outcome) -> None:
    if data.sha256 is not None:  # of more than 10,000 files
        file = kind(file_id(data.sha256))
        resolve(file, content)
        attach(data, file, outcome)


def passed_on(value: Any) -> Any:
    """An argument of `run_task`: the file of a table or an array of another outcome, alone or in a list."""
    if isinstance(value, Table | Array):
        return attached(value) or value
    return [passed_on(item) for item in value] if isinstance(value, list) else value
