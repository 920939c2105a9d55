"""`Table` and `Array` as arguments: files that a task reads as tables and arrays, whatever they consist of.

Nothing here imports a table library: a worker's executor says how such files are read (cluster/data/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Protocol, get_origin

from cluster.errors import RegistryError
from cluster.task_types.annotations import EMPTY, item_type, unwrap_annotated, without_none
from cluster.task_types.array_types import is_array
from cluster.task_types.file import File
from cluster.task_types.table_types import Column, is_table


class RowReader(Protocol):
    """Reads one table."""

    @property
    def row_count(self) -> int: ...

    @property
    def columns(self) -> list[Column]: ...

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


_NO_READERS: Final = (
    "tables and arrays are read in a running task only; in a test, call dask_graphql.testing.run_task, with "
    "File.from_path(...) as the argument"
)
_readers: tuple[Callable[[TableFile], RowReader], Callable[[ArrayFile], GridReader]] | None = None


def use_readers(table: Callable[[TableFile], RowReader], array: Callable[[ArrayFile], GridReader]) -> None:
    """Sets how this process reads tables and arrays."""
    global _readers
    _readers = table, array


class TableFile(File):
    """A table as an argument: the `fileId` of another task's Table, or a Parquet file that a client has uploaded.

    The argument is declared `Table`. Only what is asked for is fetched. It can be passed to the parts of a graph.

    Raises, in every method:
        BlobError: the bytes cannot be fetched.
        BadInput: the file is no table.
    """

    __slots__ = ("_reader",)
    declared_as: ClassVar = "Table"
    _reader: RowReader

    @property
    def row_count(self) -> int:
        """Number of its rows."""
        return self._opened_reader().row_count

    @property
    def columns(self) -> list[Column]:
        """The names and types of its columns."""
        return self._opened_reader().columns

    def to_arrow(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a pyarrow Table, which must fit into memory.

        Args:
            columns: only these; None for all.
        """
        return self._opened_reader().to_arrow(columns)

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a pandas DataFrame; else as `to_arrow`."""
        return self.to_arrow(columns).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a polars DataFrame; else as `to_arrow`."""
        import polars

        return polars.from_arrow(self.to_arrow(columns))

    def to_dask(self, columns: Sequence[str] | None = None) -> Any:
        """The table as a Dask DataFrame, whose partitions are read by the workers that compute with them."""
        return self._opened_reader().to_dask(columns)

    def _opened_reader(self) -> RowReader:
        if not hasattr(self, "_reader"):
            if _readers is None:
                raise RuntimeError(_NO_READERS)
            self._reader = _readers[0](self)
        return self._reader


class ArrayFile(File):
    """An array as an argument: the `fileId` of another task's Array, or a `.npy` file that a client has uploaded.

    The argument is declared `Array`. It can be passed to the parts of a graph, and to every function that takes an
    array of numpy.

    Raises, in every method:
        BlobError: the bytes cannot be fetched.
        BadInput: the file is no array.
    """

    __slots__ = ("_reader",)
    declared_as: ClassVar = "Array"
    _reader: GridReader

    @property
    def dtype(self) -> str:
        """numpy's name of its type."""
        return self._opened_reader().dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its length along each dimension."""
        return self._opened_reader().shape

    def to_numpy(self) -> Any:
        """The whole array, which must fit into memory."""
        return self._opened_reader().to_numpy()

    def to_dask(self) -> Any:
        """The array as a Dask array, whose chunks are read by the workers that compute with them."""
        return self._opened_reader().to_dask()

    def to_xarray(self) -> Any:
        """The array as an xarray DataArray with its coordinates; its values are a Dask array if it is in chunks."""
        return self._opened_reader().to_xarray()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = self.to_numpy()
        return values if dtype is None else values.astype(dtype)

    def _opened_reader(self) -> GridReader:
        if not hasattr(self, "_reader"):
            if _readers is None:
                raise RuntimeError(_NO_READERS)
            self._reader = _readers[1](self)
        return self._reader


def argument_annotation(annotation: Any, where: str) -> Any:
    """The annotation of an argument with `TableFile` for `Table` and `ArrayFile` for `Array`, also in lists and with
    None.

    Raises:
        RegistryError: it is a `Table[Row]`, whose rows nobody would check.
    """
    bare, _ = unwrap_annotated(annotation)
    if is_table(bare):
        if bare.row is not None:
            raise RegistryError(f"{where}: Table[...] is only a return type; declare Table, and read its columns")
        return TableFile
    if is_array(bare):
        return ArrayFile
    inner, optional = without_none(annotation)
    if optional:
        made = argument_annotation(inner, where)
        return annotation if made is inner else made | None
    item = item_type(bare)
    made = item if item is EMPTY else argument_annotation(item, where)
    if made is item:
        return annotation
    kind: Any = get_origin(bare)
    return kind[made, ...] if kind is tuple else kind[made]
