"""Reads tables from their Parquet files on an api node: a page decodes only the row groups and columns that it shows.

All work is done in threads, a few at a time, so that neither the event loop waits nor the memory grows with the number
of callers or the size of the tables.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cluster.data.blob_file import BlobFile
from cluster.data.json_cells import JsonRow, json_rows
from cluster.data.libraries import pyarrow
from cluster.data.row_objects import row_objects
from cluster.data.value_sizes import least_json_bytes
from cluster.errors import AnswerTooLarge, BadInput
from cluster.task_types.table_types import Table, part_key

if TYPE_CHECKING:
    from cluster.store.blob_store import BlobStore  # which a client of the api need not have

T = TypeVar("T")

MAX_ROWS: Final = 10_000
"""Rows of one page of `rows`."""
MAX_RECORDS: Final = 1_000
"""Rows of one page of typed `records`, each field of which GraphQL executes."""
MAX_GROUP_BYTES: Final = 128_000_000
"""Uncompressed bytes of a row group that is decoded; the worker's are of 32 MB, unless a single row is longer."""
CONCURRENT_READS: Final = 4
"""Row groups that are decoded at the same time."""
MAX_FOOTER_BYTES: Final = 16_000_000
"""Total length of the Parquet footers that are kept, as encoded."""


class TableReader:
    """The tables that one api node reads.

    Args:
        page_bytes: maximum size of a page in Arrow's form.
    """

    def __init__(self, blobs: BlobStore, page_bytes: int) -> None:
        self._blobs = blobs
        self._page_bytes = page_bytes
        self._slots = asyncio.Semaphore(CONCURRENT_READS)
        self._footers = _FooterCache()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Runs work that decodes or encodes rows, when it is its turn."""
        async with self._slots:
            return await asyncio.to_thread(work)

    async def rows(self, table: Table[Any], offset: int, limit: int, columns: Sequence[str] | None) -> list[JsonRow]:
        """A page of rows in JSON form.

        Raises:
            BadInput: offset, limit or a column is not of the table.
            AnswerTooLarge: the rows are too long for a page.
            BlobError: the table is gone, or the blob store does not answer.
        """
        check_page(table, offset, limit, columns)
        return await self.in_thread(lambda: json_rows(self.page(table, offset, limit, columns)))

    async def records(self, table: Table[Any], offset: int, limit: int) -> list[Any]:
        """A page of rows as instances of the table's Row.

        Raises:
            BadInput, AnswerTooLarge, BlobError: as `rows`.
        """
        check_page(table, offset, limit, None, MAX_RECORDS)
        return await self.in_thread(lambda: row_objects(self.page(table, offset, limit), table.row))

    def page(self, table: Table[Any], offset: int, limit: int, columns: Sequence[str] | None = None) -> Any:
        """Rows of a table as a pyarrow Table. Blocks.

        Raises:
            AnswerTooLarge, BlobError: as `rows`.
        """
        pa = pyarrow()
        names = [column.name for column in table.columns] if columns is None else list(dict.fromkeys(columns))
        last = min(offset + limit, table.row_count)
        found: list[Any] = []
        rows = size = 0
        for number, group, start, length in self._groups(table, offset, last):
            part = self._group(table, number, group, names).slice(start, length)
            found.append(part)
            rows += length
            size += max(part.nbytes, _least_json_bytes(part))
            # Now, not at the end: a page of long rows has many row groups.
            if size > self._page_bytes:
                raise AnswerTooLarge(
                    f"the first {rows} of these rows have {size} bytes or more: ask for fewer rows or columns, or "
                    "download the table",
                    limit=self._page_bytes,
                )
        if not found:
            schema = self.schema(table)
            return pa.schema([schema.field(name) for name in names]).empty_table()
        return pa.concat_tables(found)

    def _groups(self, table: Table[Any], first: int, last: int) -> Iterator[tuple[int, int, int, int]]:
        """The row groups that hold the rows [first, last): part, group, first row in the group, number of rows."""
        starts = [0, *accumulate(part.row_count for part in table.parts)]
        number = max(0, bisect_right(starts, first) - 1)
        row = starts[number]
        while number < len(table.parts) and row < last:
            footer, _ = self._footer(table, number)
            for group in range(footer.num_row_groups):
                rows = footer.row_group(group).num_rows
                if row + rows > first and row < last:
                    start = max(0, first - row)
                    yield number, group, start, min(rows, last - row) - start
                row += rows
            number += 1

    def _group(self, table: Table[Any], number: int, group: int, names: Sequence[str]) -> Any:
        """One row group, decoded, with the types of the whole table."""
        pa = pyarrow()
        file = self._open(table, number)
        size = _decoded_bytes(file.metadata.row_group(group), names)
        if size > MAX_GROUP_BYTES:
            raise AnswerTooLarge(
                f"the rows there have {size} bytes: ask for fewer columns, or download the table", limit=MAX_GROUP_BYTES
            )
        found = file.read_row_group(group, columns=list(names), use_threads=False).select(list(names))
        if len(table.parts) > 1:
            schema = self.schema(table)
            found = found.cast(pa.schema([schema.field(name) for name in names]))
        return found

    def schema(self, table: Table[Any]) -> Any:
        """The Arrow schema that all parts share. Blocks."""
        if len(table.parts) == 1:
            return self._footer(table, 0)[1]
        key = table.schema_key
        if (kept := self._footers.get(key)) is None:
            encoded = self._blobs.read_sync(key, 0, MAX_FOOTER_BYTES)
            kept = (None, pyarrow().ipc.read_schema(pyarrow().py_buffer(encoded)))
            self._footers.add(key, kept, len(encoded))
        return kept[1]

    def groups(self, table: Table[Any]) -> Iterator[Any]:
        """All row groups in order, decoded one by one. Blocks at each."""
        names = [column.name for column in table.columns]
        for number, group, _, _ in self._groups(table, 0, table.row_count):
            yield self._group(table, number, group, names)

    def _open(self, table: Table[Any], number: int) -> Any:
        import pyarrow.parquet as pq

        footer, _ = self._footer(table, number)
        return pq.ParquetFile(self._source(table, number), metadata=footer, pre_buffer=True)

    def _source(self, table: Table[Any], number: int) -> Any:
        return pyarrow().PythonFile(
            BlobFile(self._blobs, part_key(table.key, number), table.parts[number].size_bytes), mode="r"
        )

    def _footer(self, table: Table[Any], number: int) -> tuple[Any, Any]:
        """The metadata and the Arrow schema of a part; kept, as further pages need them again."""
        import pyarrow.parquet as pq

        key = part_key(table.key, number)
        if (kept := self._footers.get(key)) is None:
            file = pq.ParquetFile(self._source(table, number))
            kept = (file.metadata, file.schema_arrow)
            self._footers.add(key, kept, file.metadata.serialized_size)
        return kept


class _FooterCache:
    """The footers that were read last, by the names of their blobs, whose content never changes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._lock = Lock()

    def get(self, key: str) -> tuple[Any, Any] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def add(self, key: str, footer: tuple[Any, Any], size_bytes: int) -> None:
        with self._lock:
            self._kept[key], self._sizes[key] = footer, size_bytes
            while len(self._kept) > 1 and sum(self._sizes.values()) > MAX_FOOTER_BYTES:
                del self._sizes[self._kept.popitem(last=False)[0]]


def _least_json_bytes(rows: Any) -> int:
    """A lower bound of the length of rows as JSON objects."""
    names = sum(len(name) + 4 for name in rows.column_names)
    return int(rows.num_rows) * names + sum(map(least_json_bytes, rows.columns))


def _decoded_bytes(group: Any, names: Sequence[str]) -> int:
    wanted = set(names)
    columns = (group.column(index) for index in range(group.num_columns))
    return sum(it.total_uncompressed_size for it in columns if it.path_in_schema.partition(".")[0] in wanted)


def check_page(
    table: Table[Any], offset: int, limit: int, columns: Sequence[str] | None, max_rows: int = MAX_ROWS
) -> None:
    """Refuses a page that no table has.

    Raises:
        BadInput: names the argument.
    """
    if offset < 0:
        raise BadInput(f"offset must be 0 or more, not {offset}", argument="offset")
    if not 0 <= limit <= max_rows:
        raise BadInput(f"limit must be from 0 to {max_rows} rows, not {limit}", argument="limit", limit=max_rows)
    if columns is not None:
        known = {column.name for column in table.columns}
        for name in columns:
            if name not in known:
                shown = ", ".join(column.name for column in table.columns[:20])
                raise BadInput(f"the table has no column {name[:100]!r}; it has {shown}", argument="columns")
