"""What can be read of a table or an array where its files are at hand: as an argument, and in a test of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

_ELSEWHERE: Final = (
    "the rows and values of a result are in the blob store: clients read them, and so does a task whose argument is "
    "the result's fileId; in a test, run_task(...).value has them"
)


class RowReader(Protocol):
    """Reads one table."""

    @property
    def row_count(self) -> int: ...

    @property
    def columns(self) -> list[Any]: ...

    def to_arrow(self, columns: Sequence[str] | None) -> Any: ...

    def to_dask(self, columns: Sequence[str] | None) -> Any: ...


class GridReader(Protocol):
    """Reads one array."""

    @property
    def dtype(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def to_numpy(self) -> Any: ...

    def to_dask(self) -> Any: ...

    def to_xarray(self) -> Any: ...


class Rows:
    """The methods that read a table.

    Raises, in every method:
        BlobError: the bytes cannot be fetched.
        BadInput: the file is no table, or has no such column.
        RuntimeError: its files are not at hand.
    """

    __slots__ = ()

    def to_arrow(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a pyarrow Table, which must fit into memory.

        Args:
            columns: only these; None for all.
        """
        return self._reader().to_arrow(columns)

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a pandas DataFrame; else as `to_arrow`."""
        return self.to_arrow(columns).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a polars DataFrame; else as `to_arrow`."""
        import polars

        return polars.from_arrow(self.to_arrow(columns))

    def to_dask(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a Dask DataFrame, whose partitions are read by the workers that compute with them."""
        return self._reader().to_dask(columns)

    def _reader(self) -> RowReader:
        reader: RowReader = _attached(self)
        return reader


class Grid:
    """The methods that read an array.

    Raises, in every method:
        BlobError: the bytes cannot be fetched.
        BadInput: the file is no array.
        RuntimeError: its files are not at hand.
    """

    __slots__ = ()

    def to_numpy(self) -> Any:
        """The whole array, which must fit into memory."""
        return self._reader().to_numpy()

    def to_dask(self) -> Any:
        """The array as a Dask array, whose chunks are read by the workers that compute with them."""
        return self._reader().to_dask()

    def to_xarray(self) -> Any:
        """The array as an xarray DataArray with its coordinates; its values are a Dask array if it is in chunks."""
        return self._reader().to_xarray()

    def _reader(self) -> GridReader:
        reader: GridReader = _attached(self)
        return reader


def attach(data: Any, reader: Any, owner: object) -> None:
    """Lets a `Table` or `Array` of a result be read.

    Args:
        owner: what keeps the files, as long as the data.
    """
    vars(data).update(_attached=reader, _owner=owner)


def attached(data: Any) -> Any:
    """What reads a `Table` or `Array` of a result; None if nothing does."""
    return vars(data).get("_attached")


def _attached(data: Any) -> Any:
    reader = attached(data)
    if reader is None:
        raise RuntimeError(_ELSEWHERE)
    return reader
