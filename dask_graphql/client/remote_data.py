"""Tables and arrays of results: handles that read as much of them from the api as is asked for.

Their files are read piece by piece, by the same code as on an api node, over HTTP instead of from the blob store.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cluster.data.array_reader import ArrayReader
from cluster.data.libraries import pyarrow
from cluster.data.table_reader import TableReader, check_page
from cluster.task_types.array_types import Array, ArrayStats, Coordinate
from cluster.task_types.table_types import Column, Part, Table, part_key
from dask_graphql.client.codec import Blob, PassedOn
from dask_graphql.client.http_transport import HttpTransport, own_path

PAGE_BYTES: Final = 1 << 40
"""Pages of a client have no limit but its memory."""


class HttpFiles:
    """The files of tables and arrays on the api, with the reading half of a blob store's interface.

    Args:
        loop: where the client's requests run; the methods are called in other threads, and wait.
    """

    def __init__(self, http: HttpTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._http, self._loop = http, loop

    def key(self, path: str) -> str:
        """The key of a file, from its path on the api: what follows `/tables/` or `/arrays/`."""
        return own_path(self._http.url, path).split("/", 2)[2]

    def read_sync(self, key: str, offset: int, length: int) -> bytes:
        """Bytes of a file; those up to its end if it is shorter."""
        folder = "tables" if key.endswith((".parquet", ".schema")) else "arrays"
        request = self._http.read_range(f"/{folder}/{key}", offset, length)
        return asyncio.run_coroutine_threadsafe(request, self._loop).result()

    def save(self, blob: Blob, path: Path) -> None:
        """Streams a file to disk; resumes after a lost connection."""

        async def copy() -> None:
            with path.open("wb") as file:
                async for chunk in self._http.chunks(blob):
                    await asyncio.to_thread(file.write, chunk)

        asyncio.run_coroutine_threadsafe(copy(), self._loop).result()


class RemoteTable(PassedOn):
    """A table in a result. Its methods need pyarrow: `pip install 'dask-graphql[client,data]'`.

    Attributes:
        row_count: number of its rows.
        columns: their names, types and whether values may be missing.
        size_bytes: length of its Parquet files.
        parquet, arrow, csv: paths of downloads on the api.
        file_id: passes it on to another task, as the table itself does: `client.submit("f", table=table)`.
    """

    def __init__(self, fields: Mapping[str, Any], files: HttpFiles) -> None:
        self.row_count: int = fields["row_count"]
        self.columns = [Column(**it) for it in fields["columns"]]
        self.size_bytes: int = fields["size_bytes"]
        self.parquet: str = fields["parquet"]
        self.arrow: str = fields["arrow"]
        self.csv: str = fields["csv"]
        self.file_id: str | None = fields["file_id"]
        self._files = files
        key = files.key(self.parquet).removesuffix(".parquet")
        parts = [Part(it["row_count"], it["size_bytes"]) for it in fields["parts"]]
        self._table: Table[Any] = Table(key, self.row_count, self.columns, self.size_bytes, parts)

    def __repr__(self) -> str:
        return f"<table of {self.row_count} rows: {', '.join(f'{it.name} {it.type}' for it in self.columns[:20])}>"

    def __len__(self) -> int:
        return self.row_count

    def rows(
        self, offset: int = 0, limit: int | None = None, columns: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Rows as dicts of Python values. Reads only the parts of the files that hold them.

        Args:
            limit: how many rows; None for all from `offset` on.
            columns: only these; None for all.

        Raises:
            BadInput: offset, limit or a column is not of the table.
            Refused, ApiUnavailable: the table is gone, or the api does not respond.
        """
        limit = max(0, self.row_count - offset) if limit is None else limit
        check_page(self._table, offset, limit, columns, max_rows=max(self.row_count, limit))
        found = TableReader(self._files, PAGE_BYTES).page(self._table, offset, limit, columns)  # type: ignore[arg-type]
        return found.to_pylist()  # type: ignore[no-any-return]

    def batches(self) -> Iterator[Any]:
        """Yields the rows as Arrow record batches; only one file of the table is on disk, and one batch in memory."""
        import pyarrow.parquet as pq

        with tempfile.TemporaryDirectory(prefix="dask-graphql-") as folder:
            path = Path(folder, "part.parquet")
            for number in range(len(self._table.parts)):
                self._save(number, path)
                with pq.ParquetFile(path) as file:
                    yield from file.iter_batches()

    def to_arrow(self) -> Any:
        """The whole table as a pyarrow Table.

        Raises:
            Refused, ApiUnavailable: as `rows`.
        """
        pa = pyarrow()
        import pyarrow.parquet as pq

        with tempfile.TemporaryDirectory(prefix="dask-graphql-") as folder:
            found = []
            for number in range(len(self._table.parts)):
                path = Path(folder, f"{number}.parquet")
                self._save(number, path)
                found.append(pq.read_table(path))
                path.unlink()
        return pa.concat_tables(found, promote_options="permissive")

    def to_pandas(self) -> Any:
        """The whole table as a pandas DataFrame. Raises as `to_arrow`."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The whole table as a polars DataFrame. Raises as `to_arrow`."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def _save(self, number: int, path: Path) -> None:
        key = part_key(self._table.key, number)
        self._files.save(Blob(f"/tables/{key}", self._table.parts[number].size_bytes, ""), path)


class AsyncRemoteTable(PassedOn):
    """A table in a result of `AsyncClient`: as `RemoteTable`, with methods to await."""

    def __init__(self, fields: Mapping[str, Any], files: HttpFiles) -> None:
        self.table = RemoteTable(fields, files)
        """What is known of it without a request."""
        self.file_id = self.table.file_id

    def __repr__(self) -> str:
        return repr(self.table)

    async def rows(
        self, offset: int = 0, limit: int | None = None, columns: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """As `RemoteTable.rows`."""
        return await asyncio.to_thread(self.table.rows, offset, limit, columns)

    async def to_arrow(self) -> Any:
        """As `RemoteTable.to_arrow`."""
        return await asyncio.to_thread(self.table.to_arrow)

    async def to_pandas(self) -> Any:
        """As `RemoteTable.to_pandas`."""
        return await asyncio.to_thread(self.table.to_pandas)

    async def to_polars(self) -> Any:
        """As `RemoteTable.to_polars`."""
        return await asyncio.to_thread(self.table.to_polars)


class RemoteArray(PassedOn):
    """An array in a result. Its methods need numpy and pyarrow: `pip install 'dask-graphql[client,data]'`.

    Attributes:
        dtype: numpy's name of its type.
        shape: its length along each dimension.
        dims: the names of its dimensions; empty if they have none.
        attrs: of a DataArray.
        stats: minimum, maximum, mean and standard deviation; None unless it is of numbers.
        file_id: passes it on to another task, as the array itself does; None if it has more than 10,000 chunks.
    """

    def __init__(self, fields: Mapping[str, Any], files: HttpFiles) -> None:
        self.dtype: str = fields["dtype"]
        self.shape: tuple[int, ...] = tuple(fields["shape"])
        self.dims: tuple[str, ...] = tuple(fields["dims"])
        self.name: str | None = fields["name"]
        self.attrs: dict[str, Any] = fields["attrs"]
        self.stats = None if fields["stats"] is None else ArrayStats(**fields["stats"])
        self.file_id: str | None = fields["file_id"]
        self._files = files
        self._zarr: str | None = fields["zarr"]
        key = files.key(self._zarr or fields["npy"]).removesuffix(".zarr").removesuffix(".npy")
        coords = [
            Coordinate(it["name"], it["dims"], it["dtype"], it["shape"], _UNKNOWN_BYTES) for it in fields["coords"]
        ]
        self._array = Array(
            key, self.dtype, list(self.shape), fields["size_bytes"], chunks=fields["chunks"], coords=coords
        )

    def __repr__(self) -> str:
        return f"<array of {self.dtype}, {' x '.join(map(str, self.shape))}>"

    def __getitem__(self, index: Any) -> Any:
        """A part of the array: `array[0]`, `array[10:20, ::4]`. Reads only what it needs.

        Raises:
            Refused, ApiUnavailable: the array is gone, or the api does not respond.
        """
        given = index if isinstance(index, tuple) else (index,)
        if any(not isinstance(it, int | slice) for it in given) or len(given) > len(self.shape):
            raise TypeError(f"index it by up to {len(self.shape)} numbers and slices, not {index!r}")
        given += (slice(None),) * (len(self.shape) - len(given))
        if any(isinstance(it, slice) and it.step is not None and it.step < 1 for it in given):
            raise TypeError("a step must be 1 or more")
        slices = [it if isinstance(it, slice) else slice(it, it + 1 or None) for it in given]
        found = ArrayReader(self._files, max_read_bytes=None).read(self._array, slices)  # type: ignore[arg-type]
        for position, it in enumerate(given):
            if isinstance(it, int) and found.shape[position] == 0:
                raise IndexError(f"{it} is outside the length {self.shape[position]} of dimension {position}")
        return found[tuple(0 if isinstance(it, int) else slice(None) for it in given)]

    def to_numpy(self) -> Any:
        """The whole array. Raises as indexing it."""
        return self[()] if self.shape else ArrayReader(self._files, max_read_bytes=None).read(self._array, [])  # type: ignore[arg-type]

    def to_xarray(self) -> Any:
        """The whole array as an xarray DataArray, with its coordinates. Raises as indexing it."""
        import xarray

        reader = ArrayReader(self._files, max_read_bytes=None)  # type: ignore[arg-type]
        coords = {
            it.name: (it.dims, reader.coordinate_values(self._array, n)) for n, it in enumerate(self._array.coords)
        }
        return xarray.DataArray(self.to_numpy(), coords, self.dims or None, self.name, self.attrs)


class AsyncRemoteArray(PassedOn):
    """An array in a result of `AsyncClient`: as `RemoteArray`, with methods to await."""

    def __init__(self, fields: Mapping[str, Any], files: HttpFiles) -> None:
        self.array = RemoteArray(fields, files)
        """What is known of it without a request."""
        self.file_id = self.array.file_id

    def __repr__(self) -> str:
        return repr(self.array)

    async def part(self, *index: int | slice) -> Any:
        """A part of the array, as indexing a `RemoteArray`: `await array.part(slice(10, 20), 3)`."""
        return await asyncio.to_thread(self.array.__getitem__, index)

    async def to_numpy(self) -> Any:
        """As `RemoteArray.to_numpy`."""
        return await asyncio.to_thread(self.array.to_numpy)

    async def to_xarray(self) -> Any:
        """As `RemoteArray.to_xarray`."""
        return await asyncio.to_thread(self.array.to_xarray)


_UNKNOWN_BYTES: Final = 1 << 40
"""The api ends a coordinate's file where it ends."""

_ASYNC: Final = {"Table": AsyncRemoteTable, "Array": AsyncRemoteArray}
_SYNC: Final = {"Table": RemoteTable, "Array": RemoteArray}


def async_data(http: HttpTransport) -> Callable[[str, dict[str, Any]], Any]:
    """Makes the handle of a table or an array for `AsyncClient`."""
    return lambda kind, fields: _ASYNC[kind](fields, HttpFiles(http, asyncio.get_running_loop()))


def sync_data(http: HttpTransport, loop: asyncio.AbstractEventLoop) -> Callable[[str, dict[str, Any]], Any]:
    """Makes the handle of a table or an array for `Client`."""
    return lambda kind, fields: _SYNC[kind](fields, HttpFiles(http, loop))
