"""Reads the tables among the arguments of a task: a Parquet file, or several that a manifest lists."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, Final

from cluster.data.libraries import pyarrow
from cluster.data.manifest import Manifest, manifest_itself, read_manifest
from cluster.data.parquet_writer import columns_of
from cluster.errors import BadInput
from cluster.task_types.data_files import TableFile
from cluster.task_types.file import MANIFEST, File, FileContent, content_of, fetch
from cluster.task_types.table_types import Column, Table

GROUPS_OF_A_PARTITION: Final = 16
"""Row groups of a single Parquet file in one partition of a Dask DataFrame: a million rows, or 512 MB."""


class FileTable:
    """One table; its files are fetched when they are read."""

    def __init__(self, file: TableFile) -> None:
        # A copy, as the file refers to its reader: a cycle would keep both, and what they have open.
        self._file = copy(file)
        self._manifest = manifest_of(file)
        if self._manifest is not None and not isinstance(self._manifest.data, Table):
            raise BadInput(f"the file {file.id} is an array, not a table")

    @cached_property
    def schema(self) -> Any:
        """Its Arrow schema, to which every part is converted."""
        if self._manifest is None:
            return _parquet(self._file).schema_arrow
        names = list(self._manifest.files)
        if ".schema" not in names:
            return _parquet(self._part(0)).schema_arrow
        encoded = self._manifest.file(".schema", content_of(self._file)).read()
        return pyarrow().ipc.read_schema(pyarrow().py_buffer(encoded))

    @cached_property
    def row_count(self) -> int:
        if self._manifest is None:
            return int(_parquet(self._file).metadata.num_rows)
        return self._manifest.data.row_count  # type: ignore[union-attr]

    @cached_property
    def columns(self) -> list[Column]:
        if self._manifest is None:
            return columns_of(self.schema, frozenset(), declared=True)
        return self._manifest.data.columns  # type: ignore[union-attr]

    def to_arrow(self, columns: Sequence[str] | None) -> Any:
        parts = [self.read(number, None, columns) for number in range(self._part_count)]
        return pyarrow().concat_tables(parts)

    def to_dask(self, columns: Sequence[str] | None) -> Any:
        """A Dask DataFrame with a partition for each file, or for some row groups of the only one."""
        import dask.dataframe as dd

        wanted: list[tuple[int, tuple[int, ...] | None]] = [(number, None) for number in range(self._part_count)]
        if self._manifest is None:
            groups = range(_parquet(self._file).num_row_groups)
            wanted = [
                (0, tuple(groups[start : start + GROUPS_OF_A_PARTITION]))
                for start in range(0, len(groups), GROUPS_OF_A_PARTITION)
            ] or wanted
        meta = self._selected(columns).empty_table().to_pandas()
        names = None if columns is None else list(columns)
        return dd.from_map(_read_partition, wanted, file=self._file, columns=names, meta=meta, label="read-table")

    def read(self, number: int, groups: Sequence[int] | None, columns: Sequence[str] | None) -> Any:
        """A part as a pyarrow Table.

        Args:
            groups: only these row groups; None for all.
            columns: only these, in this order; None for all.
        """
        schema = self._selected(columns)
        part = self._part(number)
        opened = _parquet(part)
        found = opened.read(schema.names) if groups is None else opened.read_row_groups(list(groups), schema.names)
        return found.select(schema.names).cast(schema)

    def _selected(self, columns: Sequence[str] | None) -> Any:
        schema = self.schema
        if columns is None:
            return schema
        for name in columns:
            if name not in schema.names:
                raise BadInput(f"the table has no column {name!r}; it has {', '.join(schema.names[:20])}")
        return pyarrow().schema([schema.field(name) for name in dict.fromkeys(columns)], schema.metadata)

    @property
    def _part_count(self) -> int:
        return 1 if self._manifest is None else len(self._manifest.data.parts)  # type: ignore[union-attr]

    def _part(self, number: int) -> File:
        if self._manifest is None:
            return self._file
        return self._manifest.file(f".{number}.parquet", content_of(self._file))


def _parquet(file: File) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file.path())
    except pyarrow().ArrowInvalid as error:
        raise BadInput(f"the file {file.id} is not a Parquet file: {error}") from error


def _read_partition(wanted: tuple[int, tuple[int, ...] | None], file: TableFile, columns: list[str] | None) -> Any:
    """Runs on a worker: one partition as a pandas DataFrame."""
    return FileTable(file).read(*wanted, columns).to_pandas()


def manifest_of(file: File) -> Manifest | None:
    """The manifest that a file is; None if it is something else.

    Raises:
        BlobError: its bytes cannot be fetched.
    """
    content = content_of(file)
    return _manifest(file.sha256, content) if content.media_type == MANIFEST else None


@lru_cache(maxsize=8)
def _manifest(sha256: str, content: FileContent) -> Manifest:
    """A manifest, of which this process reads several files, one by one."""
    opened = fetch(sha256, manifest_itself(content))
    return read_manifest(opened.path.read_bytes())
